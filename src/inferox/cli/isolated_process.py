"""The process of an isolated command: ``python -P -m inferox.cli.isolated_process MEMORY_BYTES WORD…``."""

from __future__ import annotations

import os
import signal
import sys

from inferox.cli.main import main

_PR_SET_PDEATHSIG = 1
"""The option of Linux's ``prctl`` for the signal that a process gets when its parent ends."""

_PARENT_IS_GONE = 1


def limit_process(memory_bytes: int) -> None:
    """Limits this process where the system can: its memory, and that a crash leaves no core file.

    Args:
        memory_bytes: The most private memory that it may have. Files that it maps for reading are not counted.
    """
    try:
        import resource
    except ImportError:  # Windows has other means, which Python does not bring
        return
    # The address space is not a measure: runtimes reserve much more of it than they use.
    for limit, value in ((resource.RLIMIT_DATA, memory_bytes), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(limit)
        lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (lower, lower))


def end_with_parent() -> None:
    """Has Linux end this process as soon as its parent ends, which alone keeps its time limit."""
    if sys.platform != "linux":
        return
    import ctypes

    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(_PARENT_IS_GONE)


if __name__ == "__main__":
    end_with_parent()
    limit_process(int(sys.argv[1]))
    main(sys.argv[2:])
