"""Profiles: the time that each artifact of a package takes on this machine, for calls of different sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from inferox.core import Fields, ManifestError, shown
from inferox.loading.cell import Cell
from inferox.machine import threads_text
from inferox.parity import ParityClass

_VERSION = 6

DEFAULT_DEVICE = "default"
"""The name of each backend's default device in a profile."""


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
        return self.is_default if wanted == DEFAULT_DEVICE else self.device == wanted


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
            versions={
                name: text for name, text in self.versions.items() if any(is_of_backend(name, item) for item in names)
            },
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
        where = "each runtime's default device" if self.device == DEFAULT_DEVICE else f"the device {self.device}"
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


def is_of_backend(backend: str, artifact: str) -> bool:
    """Returns whether an artifact is one for a backend.

    Args:
        backend: The name of the backend.
        artifact: The name of the artifact.
    """
    return artifact.partition("/")[0] == backend


def _timestamp(created_at: str) -> float:
    """Converts a date to seconds since 1970; an invalid date gives 0, so that it comes last."""
    try:
        moment = datetime.fromisoformat(created_at)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _interpolate(at: float, places: list[float], seconds: list[float]) -> float:
    """Interpolates between measured values, linearly in logarithms; beyond them in proportion to the place."""
    if at >= places[-1]:
        return seconds[-1] * at / places[-1]
    return float(np.exp(np.interp(np.log(max(at, places[0])), np.log(places), np.log(seconds))))
