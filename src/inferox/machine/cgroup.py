"""The limits that a Linux container sets on the process, which the operating system's own totals do not show.

Source: the Linux kernel's documentation of control groups, version 2 (``cpu.max``, ``memory.max``, ``memory.current``,
``memory.stat``) and version 1 (``cpu.cfs_quota_us``, ``cpu.cfs_period_us``, ``memory.limit_in_bytes``,
``memory.usage_in_bytes``, ``memory.stat``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

_MOUNT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_UNLIMITED_BYTES = 1 << 60
"""Version 1 states a number near 2**63 if there is no limit."""

_SOUGHT_EVERY_S = 1.0
"""The seconds after which a gauge looks again for the groups that have a limit."""


@dataclass(frozen=True)
class MemoryLimit:
    """The memory that the process' control group may use.

    Attributes:
        limit_bytes: The limit.
        used_bytes: The memory in use that cannot be reclaimed: the kernel also counts cached files as used, but drops
            those that were not read recently as soon as memory is needed. Kubernetes counts in the same way, and
            calls it the working set.
    """

    limit_bytes: int
    used_bytes: int


def cpu_limit(mount: Path = _MOUNT, membership: Path = _MEMBERSHIP) -> float | None:
    """Returns the CPU limit of the process: the smallest one of its control group and the groups above it.

    Args:
        mount: The folder where the control groups are mounted.
        membership: The file that lists the groups of the process.

    Returns:
        The number of cores, possibly fractional; ``None`` if there is no limit.
    """
    limits = [_quota(folder) for folder in _folders(mount, membership, "cpu")]
    return min((limit for limit in limits if limit is not None), default=None)


def memory_limit(mount: Path = _MOUNT, membership: Path = _MEMBERSHIP) -> MemoryLimit | None:
    """Returns the memory limit that leaves the process least, among those of its control group and the groups above it.

    Args:
        mount: The folder where the control groups are mounted.
        membership: The file that lists the groups of the process.

    Returns:
        The limit; ``None`` if there is none.
    """
    return _tightest(_folders(mount, membership, "memory"))


class MemoryGauge:
    """Reads the memory limit of the process over and over, as ``memory_limit`` does, at a fraction of its cost.

    The memory in use is read at every call. Which groups have a limit is looked up once a second: a process has a
    dozen files in which one could be stated.

    Args:
        mount: The folder where the control groups are mounted.
        membership: The file that lists the groups of the process.
        clock: Returns the time, in seconds.
    """

    def __init__(
        self, mount: Path = _MOUNT, membership: Path = _MEMBERSHIP, *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._mount, self._membership, self._clock = mount, membership, clock
        self._limiting: list[Path] = []
        self._sought_s = -math.inf

    def __call__(self) -> MemoryLimit | None:
        """Returns the limit; ``None`` if there is none."""
        now_s = self._clock()
        if now_s - self._sought_s >= _SOUGHT_EVERY_S:
            folders = _folders(self._mount, self._membership, "memory")
            self._limiting, self._sought_s = [folder for folder in folders if _memory(folder) is not None], now_s
        return _tightest(self._limiting)


def _tightest(folders: Iterable[Path]) -> MemoryLimit | None:
    """Returns the limit that leaves least; ``None`` if there is none."""
    limits = [limit for limit in map(_memory, folders) if limit is not None]
    return min(limits, key=lambda limit: limit.limit_bytes - limit.used_bytes, default=None)


def dies_as_a_group(mount: Path = _MOUNT, membership: Path = _MEMBERSHIP) -> bool:
    """Returns whether running out of memory kills all processes of the control group together rather than one of them.

    Args:
        mount: The folder where the control groups are mounted.
        membership: The file that lists the groups of the process.
    """
    return any(_read(folder / "memory.oom.group").strip() == "1" for folder in _folders(mount, membership, "memory"))


def _folders(mount: Path, membership: Path, controller: str) -> Iterator[Path]:
    """Yields the folders of the process' group and of all above it. A container often mounts its group as the root."""
    for line in _read(membership).splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        base = mount / controller if controllers else mount
        group = base / path.strip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(base):
                yield folder


def _quota(folder: Path) -> float | None:
    words = _read(folder / "cpu.max").split() or [
        _read(folder / "cpu.cfs_quota_us").strip(),
        _read(folder / "cpu.cfs_period_us").strip(),
    ]
    numbers = [_number(word) for word in words]
    if len(numbers) != 2 or None in numbers or 0 in numbers:  # noqa: PLR2004 - the quota and the period
        return None
    quota, period = numbers
    return quota / period if quota is not None and period else None


def _memory(folder: Path) -> MemoryLimit | None:
    for limit_file, used_file, cache in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, used = _number(_read(folder / limit_file).strip()), _number(_read(folder / used_file).strip())
        if limit is not None and used is not None and limit < _UNLIMITED_BYTES:
            return MemoryLimit(limit, max(0, used - _statistic(folder, cache)))
    return None


def _statistic(folder: Path, name: str) -> int:
    """Reads a number of bytes from a group's memory statistics; 0 if it is not stated."""
    lines = (line.split() for line in _read(folder / "memory.stat").splitlines())
    return next((_number(words[1]) or 0 for words in lines if len(words) > 1 and words[0] == name), 0)


def _number(text: str) -> int | None:
    """Parses a non-negative number; ``None`` for ``max``, -1 and anything else that stands for no limit."""
    return int(text) if text.isdecimal() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
