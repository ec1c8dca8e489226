"""The memory of this process: its peak, and what is free but still held."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


def peak_memory_bytes() -> int:
    """The most resident memory that this process has had since it began, shared pages included.

    On Linux it is the kernel's ``VmHWM``. ``getrusage`` does not work there: a program started by a large process
    inherits that process's peak.
    """
    if _STATUS.exists():
        return _read_status()["VmHWM"]
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def release_free_memory() -> None:
    """Removes garbage, and returns free memory to the system where the C library would keep it.

    A closed model may refer to itself, as modules of ``torch.export`` do, and a server makes so little garbage that its
    collector would not come to it for hours.

    glibc keeps freed blocks below the last one in use, of up to 32 MiB each: 24 MiB of 86 after the loading and closing
    of a model whose weights take 9. Other C libraries and systems are left to their own ways.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


class PeakGauge:
    """Measures how far this process's memory grows during a span of time.

    It resets the kernel's peak (``/proc/self/clear_refs``), and with it ``peak_memory_bytes``. Allocations of other
    threads during the span count as well.
    """

    def __init__(self) -> None:
        self._begun_bytes: int | None = None

    def begin(self) -> None:
        """Begins the measurement."""
        self._begun_bytes = None
        with suppress(OSError):
            _CLEAR_REFS.write_text("5", encoding="ascii")  # resets the peak alone
            self._begun_bytes = _read_status()["VmRSS"]

    def read(self) -> tuple[int, int] | None:
        """Returns the growth of the process's memory since ``begin``.

        Returns:
            The growth at the peak and the growth now, in bytes; ``None`` if the system does not report it.
        """
        if self._begun_bytes is None:
            return None
        found = _read_status()
        return max(0, found["VmHWM"] - self._begun_bytes), found["VmRSS"] - self._begun_bytes


def _read_status() -> dict[str, int]:
    """Reads the memory sizes of this process in bytes, by the kernel's names for them."""
    lines = (line.split() for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[2:] == ["kB"]}
