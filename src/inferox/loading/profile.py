"""Profiles: the time that each artifact of a package takes on this machine, for calls of different sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from inferox.core import ConfigError, DeviceId, Fields, ManifestError, shown
from inferox.loading.cell import Cell
from inferox.loading.conditions import machine_name, runtime_version
from inferox.machine import threads_text
from inferox.package import Store, read_json, write_json
from inferox.parity import ParityClass

_VERSION = 6

_DEFAULT = "default"


@dataclass(frozen=True)
class Placement:
    """The device on which an artifact was measured.

    Attributes:
        device: The device.
        is_default: Whether its backend chooses that device if none is named.
    """

    device: str
    is_default: bool

    def suits(self, wanted: str) -> bool:
        """Returns whether the artifact would run there again.

        Args:
            wanted: The requested device, as ``device_text`` formats it.
        """
        return self.is_default if wanted == _DEFAULT else self.device == wanted


@dataclass(frozen=True)
class Profile:
    """The measurements of a package on a machine.

    Attributes:
        digest: The package's digest.
        machine: The machine, as ``machine_name`` describes it.
        threads: The thread budget that every artifact had.
        device: The requested device, as ``device_text`` formats it.
        versions: The version of each backend's runtime, by the backend's name.
        created_at: When it was last measured, in ISO 8601.
        cells: The times of each artifact that could be measured.
        placements: The device on which each was measured. "The default device" and "the CPU" may be the same.
        classes: The parity class that artifacts with another precision than fp32 reached there, as processors differ in
            rounding and arithmetic.
        rounds: The number of rounds that the times of each artifact rest on.
    """

    digest: str
    machine: str
    threads: int
    device: str
    versions: Mapping[str, str]
    created_at: str
    cells: Mapping[str, tuple[Cell, ...]]
    placements: Mapping[str, Placement] = field(default_factory=dict)
    classes: Mapping[str, ParityClass] = field(default_factory=dict)
    rounds: Mapping[str, int] = field(default_factory=dict)

    def on(self, device: str) -> Profile:
        """Returns the part of the profile that applies to a device: all of it, or the artifacts measured there.

        Args:
            device: The device, as ``device_text`` formats it.
        """
        if device == self.device:
            return self
        return replace(
            self.only(name for name, placement in self.placements.items() if placement.suits(device)), device=device
        )

    def only(self, artifacts: Iterable[str]) -> Profile:
        """Returns the part of the profile that is about some artifacts.

        Args:
            artifacts: Their names.
        """
        names = set(artifacts)
        return replace(
            self,
            versions={name: text for name, text in self.versions.items() if any(_is_of(name, item) for item in names)},
            cells={name: cells for name, cells in self.cells.items() if name in names},
            placements={name: placement for name, placement in self.placements.items() if name in names},
            classes={name: reached for name, reached in self.classes.items() if name in names},
            rounds={name: count for name, count in self.rounds.items() if name in names},
        )

    def seconds(self, artifact: str, rows: int, length: int) -> float:
        """Estimates the time that an artifact takes for a batch, by interpolation between the nearest measured shapes.

        Times are interpolated in logarithms of rows, length and time, where proportional growth is a straight line.
        Beyond the grid they grow in proportion to the number of tokens.

        Args:
            artifact: The artifact.
            rows: The number of rows.
            length: The length of the longest row, in tokens.

        Returns:
            Seconds; infinity for an artifact that was not measured, or that failed at lengths that others can compute.
        """
        cells = self.cells.get(artifact)
        if not cells:
            return float("inf")
        longest = max(cell.length for cell in cells)
        if longest < length and any(longest < cell.length for each in self.cells.values() for cell in each):
            return float("inf")
        lengths = sorted({cell.length for cell in cells})
        by_length = []
        for known in lengths:
            column = sorted((cell.rows, cell.seconds) for cell in cells if cell.length == known)
            by_length.append(_interpolate(rows, [float(count) for count, _ in column], [time for _, time in column]))
        return _interpolate(length, [float(known) for known in lengths], by_length)

    def ratios(self, artifacts: Iterable[str]) -> dict[str, list[float]]:
        """Computes the time of each artifact relative to the fastest one, for every measured size of call.

        The artifact with the smallest sum is the fastest over all shapes. Every shape counts the same in it, whereas a
        total time would be dominated by the largest.

        Args:
            artifacts: Names of artifacts that were measured.

        Returns:
            For each artifact, a ratio of at least 1 for each shape.
        """
        names = list(artifacts)
        shapes = sorted({(cell.rows, cell.length) for name in names for cell in self.cells[name]})
        times = {name: [self.seconds(name, *shape) for shape in shapes] for name in names}
        best = [min(column) for column in zip(*times.values(), strict=True)]
        return {name: [mine / least for mine, least in zip(row, best, strict=True)] for name, row in times.items()}

    def differences(self, digest: str, machine: str, threads: int, device: str) -> list[str]:
        """Lists the conditions of the measurement that do not hold here, as phrases; empty if all hold."""
        where = "each runtime's default device" if self.device == _DEFAULT else f"the device {self.device}"
        phrases = {
            "for another package": self.digest != digest,
            "on another machine": self.machine != machine,
            f"with {threads_text(self.threads)}": self.threads != threads,
            f"on {where}": self.device != device,
        }
        return [phrase for phrase, differs in phrases.items() if differs]

    def distance(self, digest: str, machine: str, threads: int, device: str) -> tuple[int, bool, bool, int, float, str]:
        """Returns a sort key for how far the profile's conditions are from others; the nearest sorts first.

        The criteria, in order: the fewest conditions that differ, the same machine, the same device, the nearest number
        of threads, and the most recent measurement.
        """
        return (
            len(self.differences(digest, machine, threads, device)),
            self.machine != machine,
            self.device != device,
            abs(self.threads - threads),
            -_timestamp(self.created_at),
            f"{self.machine}\n{self.device}\n{self.threads}",
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the profile as the store keeps it."""
        return {
            "version": _VERSION,
            "digest": self.digest,
            "machine": self.machine,
            "threads": self.threads,
            "device": self.device,
            "versions": dict(self.versions),
            "created_at": self.created_at,
            "cells": {name: [cell.to_json() for cell in cells] for name, cells in self.cells.items()},
            "placements": {
                name: [placement.device, placement.is_default] for name, placement in self.placements.items()
            },
            "classes": {name: reached.value for name, reached in self.classes.items()},
            "rounds": dict(self.rounds),
        }

    @classmethod
    def from_json(cls, data: Any) -> Profile:
        """Reads a profile.

        Raises:
            ManifestError: If a field is missing or malformed.
        """
        fields = Fields(data, "a profile")
        if fields.required("version", int) != _VERSION:
            found = shown(data["version"])
            raise ManifestError(f"a profile must be of version {_VERSION}, but is of {found}; run 'inferox tune' again")
        measured = Fields(fields.required("cells", dict), "'cells' of a profile")
        counts = Fields(fields.required("rounds", dict), "'rounds' of a profile")
        cells = {name: measured.map(name, Cell.from_json) for name in data["cells"]}
        placements = {}
        for name, listed in fields.required("placements", dict).items():
            match listed:
                case [str(device), bool(is_default)]:
                    placements[name] = Placement(device, is_default)
                case _:
                    raise ManifestError(f"the placement of {shown(name)} in a profile must be a device and a boolean")
        return cls(
            digest=fields.required("digest", str),
            machine=fields.required("machine", str),
            threads=fields.count("threads"),
            device=fields.required("device", str),
            versions=fields.text_by_name("versions"),
            created_at=fields.required("created_at", str),
            cells=cells,
            placements=placements,
            classes={
                name: ParityClass.read(reached, f"the class of {shown(name)} in a profile")
                for name, reached in fields.text_by_name("classes").items()
            },
            rounds={name: counts.count(name) for name in data["rounds"]},
        )


@dataclass(frozen=True)
class FoundProfile:
    """The measurements that the store has for a package.

    Attributes:
        profile: The measurements that apply here; ``None`` if there are none.
        ignored: Why other measurements are not used; ``None`` if there are none.
    """

    profile: Profile | None
    ignored: str | None = None


def save_profile(profile: Profile, store: Store) -> Path:
    """Writes a profile, replacing an older one of the same package, machine, thread budget and device.

    Args:
        profile: The profile.
        store: The store that keeps profiles.

    Returns:
        The file.

    Raises:
        ConfigError: If it cannot be written.
    """
    path = profile_path(profile, store)
    try:
        store.make_profiles(path.parent.name)
        write_json(path, profile.to_json())
    except OSError as error:
        raise ConfigError(f"the profile cannot be written to {path.parent}: {error.strerror or error}") from error
    return path


def profile_path(profile: Profile, store: Store) -> Path:
    """Returns the file in which a store keeps a profile.

    Args:
        profile: The profile.
        store: The store.
    """
    return _path(store, profile.digest, profile.machine, profile.threads, profile.device)


def find_profile(digest: str, store: Store, threads: int, device: DeviceId | None = None) -> FoundProfile:
    """Looks for the measurements of a package on this machine.

    A profile that cannot be read, or was measured under other conditions, is ignored, as it could mislead the choice.
    So are the times of a runtime that was upgraded since. If there are only measurements under other conditions, the
    result says how those of the nearest differ (``Profile.distance``). A measurement on a backend's default device also
    applies if that device is requested by name, and vice versa. If several apply, the one with times for the most
    artifacts is taken; among equals, that of the requested name.

    Args:
        digest: The package's digest.
        store: The store that keeps profiles.
        threads: The thread budget.
        device: The requested device; ``None`` for each backend's default device.
    """
    machine, wanted = machine_name(), device_text(device)
    own = _path(store, digest, machine, threads, wanted)
    conditions = digest, machine, threads, wanted
    profiles: dict[Path, Profile] = {}
    unreadable: dict[Path, str] = {}
    for path in sorted(own.parent.glob("*.json"), key=lambda path: (path != own, path)):
        try:
            whole = Profile.from_json(read_json(path))
        except ManifestError as error:
            unreadable[path] = f"{path} cannot be read: {error}"
            continue
        here = whole.on(wanted)
        profiles[path] = here if here.cells else whole
    if not profiles:
        return FoundProfile(None, next(iter(unreadable.values()), None))
    damaged = unreadable.get(own)
    nearest = sorted(profiles, key=lambda path: (path != own, *profiles[path].distance(*conditions)))
    applicable = [profiles[path] for path in nearest if not profiles[path].differences(*conditions)]
    if not applicable:
        other = min(profiles.values(), key=lambda profile: profile.distance(*conditions))
        return FoundProfile(None, damaged or f"it was measured {' and '.join(other.differences(*conditions))}")
    fresh = [_leave_out_stale(profile) for profile in applicable]
    best = max(fresh, key=lambda found: 0 if found.profile is None else len(found.profile.cells))
    return replace(best, ignored=best.ignored or damaged)


def device_text(device: DeviceId | None) -> str:
    """Formats a device as a profile names it: ``default`` for each backend's default device."""
    return _DEFAULT if device is None else str(device)


def _leave_out_stale(profile: Profile) -> FoundProfile:
    stale = {name: measured for name, measured in profile.versions.items() if measured != runtime_version(name)}
    if not stale:
        return FoundProfile(profile)
    fresh = profile.only(name for name in profile.cells if not any(_is_of(item, name) for item in stale))
    changes = [f"{name} {measured}, and now {runtime_version(name)} is installed" for name, measured in stale.items()]
    return FoundProfile(
        fresh if fresh.cells else None,
        f"it was measured with {'; with '.join(changes)}",
    )


def _is_of(backend: str, artifact: str) -> bool:
    return artifact.partition("/")[0] == backend


def _timestamp(created_at: str) -> float:
    """Converts a date to seconds since 1970; an invalid date gives 0, so that it comes last."""
    try:
        moment = datetime.fromisoformat(created_at)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _path(store: Store, digest: str, machine: str, threads: int, device: str) -> Path:
    name = sha256(f"{machine}\n{threads}\n{device}".encode()).hexdigest()[:16]
    return store.profiles / digest[:32] / f"{name}.json"


def _interpolate(at: float, places: list[float], seconds: list[float]) -> float:
    """Interpolates between measured values, linearly in logarithms; beyond them in proportion to the place."""
    if at >= places[-1]:
        return seconds[-1] * at / places[-1]
    return float(np.exp(np.interp(np.log(max(at, places[0])), np.log(places), np.log(seconds))))
