"""What was measured of a package on this machine: how long each artifact takes for batches of different shapes."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np

from inferox.core import ConfigError, ManifestError, available_cores
from inferox.package import Fields, Store, read_json

_VERSION = 1


@dataclass(frozen=True)
class Cell:
    """One shape of batch.

    Attributes:
        rows: The number of rows.
        length: The length of each, in tokens; 1 where rows have no length.
        seconds: The median time of a call.
    """

    rows: int
    length: int
    seconds: float


@dataclass(frozen=True)
class Profile:
    """The measurements of a package on a machine.

    Attributes:
        digest: The package's digest.
        machine: The machine, as ``machine_name`` gives it.
        threads: The thread budget that every artifact had.
        created_at: When it was measured, in ISO 8601.
        cells: For each artifact that could be measured, its times.
    """

    digest: str
    machine: str
    threads: int
    created_at: str
    cells: Mapping[str, tuple[Cell, ...]]

    def seconds(self, artifact: str, rows: int, length: int) -> float:
        """How long an artifact is expected to take for a batch: interpolated between the nearest shapes measured.

        Times are interpolated in logarithms of rows, length and time, as a time that grows in proportion is a straight
        line there. Beyond the grid they grow as the number of tokens does.

        Args:
            artifact: The artifact.
            rows: The number of rows.
            length: The length of the longest, in tokens.

        Returns:
            Seconds; infinity for an artifact that was not measured.
        """
        cells = self.cells.get(artifact)
        if not cells:
            return float("inf")
        lengths = sorted({cell.length for cell in cells})
        by_length = []
        for known in lengths:
            column = sorted((cell.rows, cell.seconds) for cell in cells if cell.length == known)
            by_length.append(_interpolate(rows, [float(count) for count, _ in column], [time for _, time in column]))
        return _interpolate(length, [float(known) for known in lengths], by_length)

    def to_json(self) -> dict[str, Any]:
        """The profile as the store keeps it."""
        return {
            "version": _VERSION,
            "digest": self.digest,
            "machine": self.machine,
            "threads": self.threads,
            "created_at": self.created_at,
            "cells": {
                name: [[cell.rows, cell.length, cell.seconds] for cell in cells] for name, cells in self.cells.items()
            },
        }

    @classmethod
    def from_json(cls, data: Any) -> Profile:
        """Reads a profile.

        Raises:
            ManifestError: If a field is missing or malformed.
        """
        fields = Fields(data, "a profile")
        if fields.required("version", int) != _VERSION:
            raise ManifestError(f"a profile must be of version {_VERSION}, and is of {data['version']}")
        try:
            cells = {
                str(name): tuple(Cell(int(rows), int(length), float(seconds)) for rows, length, seconds in listed)
                for name, listed in fields.required("cells", dict).items()
            }
        except (TypeError, ValueError, OverflowError) as error:
            raise ManifestError(f"the cells of a profile must be lists of rows, length and seconds: {error}") from error
        listed_cells = [cell for each in cells.values() for cell in each]
        if any(cell.rows < 1 or cell.length < 1 or not 0 < cell.seconds < float("inf") for cell in listed_cells):
            raise ManifestError("the cells of a profile must have finite rows, lengths and seconds above 0")
        return cls(
            digest=fields.required("digest", str),
            machine=fields.required("machine", str),
            threads=fields.required("threads", int),
            created_at=fields.required("created_at", str),
            cells=cells,
        )


@dataclass(frozen=True)
class FoundProfile:
    """What the store has for a package.

    Attributes:
        profile: The measurements of this machine; ``None`` where there are none.
        ignored: Why what else is there is not used; ``None`` where nothing is.
    """

    profile: Profile | None
    ignored: str | None = None


def save_profile(profile: Profile, store: Store) -> Path:
    """Writes a profile, in the place of an older one of the same package and machine.

    Args:
        profile: The profile.
        store: Where profiles are kept.

    Returns:
        The file.

    Raises:
        ConfigError: If it cannot be written.
    """
    path = _folder(profile.digest, store) / f"{_identify(profile.machine)}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=path.parent, suffix=".partial", delete=False, encoding="utf-8") as file:
            json.dump(profile.to_json(), file, indent=1)
        Path(file.name).replace(path)
    except OSError as error:
        raise ConfigError(f"the profile cannot be written to {path.parent}: {error.strerror or error}") from error
    return path


def find_profile(digest: str, store: Store) -> FoundProfile:
    """Looks for the measurements of a package on this machine.

    A profile that cannot be read, or is of another machine, is ignored: it could only choose less well.

    Args:
        digest: The package's digest.
        store: Where profiles are kept.
    """
    folder, machine = _folder(digest, store), machine_name()
    own = folder / f"{_identify(machine)}.json"
    if not own.is_file():
        others = sorted(folder.glob("*.json")) if folder.is_dir() else []
        reason = "it was measured on another machine; run 'inferox tune' here" if others else None
        return FoundProfile(None, reason)
    try:
        profile = Profile.from_json(read_json(own))
    except ManifestError as error:
        return FoundProfile(None, f"{own} cannot be read: {error}")
    if profile.machine != machine or profile.digest != digest:
        return FoundProfile(None, "it is of another machine or package; run 'inferox tune' here")
    return FoundProfile(profile)


def machine_name() -> str:
    """What decides how fast an artifact is here: the processor, the cores that may be used, and the system."""
    return f"{platform.system()} {platform.machine()}, {_processor()}, {available_cores()} cores"


def _processor() -> str:
    """The processor's name. Python itself gives none on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    facts = [line.split(":", 1) for line in lines if ":" in line]
    stated = {name.strip(): text.strip() for name, text in facts}
    model = stated.get("model name", platform.processor() or "unknown processor")
    # Virtual machines hide the name, and not what the processor can do.
    abilities = sha256(stated.get("flags", "").encode()).hexdigest()[:8]
    return f"{model} ({abilities})"


def _folder(digest: str, store: Store) -> Path:
    return store.root / "profiles" / digest[:32]


def _identify(machine: str) -> str:
    return sha256(machine.encode()).hexdigest()[:16]


def _interpolate(at: float, places: list[float], seconds: list[float]) -> float:
    """A value between measured ones, straight in logarithms; beyond them in proportion to the place."""
    if at >= places[-1]:
        return seconds[-1] * at / places[-1]
    return float(np.exp(np.interp(np.log(max(at, places[0])), np.log(places), np.log(seconds))))
