"""The lifetime and priority of processes relative to others."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
"""The option of Linux's ``prctl`` for the signal that a process gets when its parent ends."""

_PARENT_IS_GONE = 1

_OOM_SCORE = Path("/proc/self/oom_score_adj")
_FIRST_TO_GO = "1000"

_AUTOGROUP = Path("/proc/self/autogroup")
_NICEST = 19


def end_with_parent(parent: int | None = None) -> None:
    """Has Linux kill this process as soon as its parent ends; more exactly, the thread that started it.

    Args:
        parent: The process that is expected to be the parent; ``None`` for the actual one. If it is already gone, this
            process ends at once.
    """
    if sys.platform != "linux":
        return
    import ctypes

    expected = os.getppid() if parent is None else parent
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != expected:
        sys.exit(_PARENT_IS_GONE)


def offer_to_die_first() -> None:
    """Has Linux kill this process before others if memory runs out."""
    with suppress(OSError):  # only Linux has it
        _OOM_SCORE.write_text(_FIRST_TO_GO, encoding="ascii")


def yield_processors() -> None:
    """Lowers this process to the lowest CPU priority, so that it hardly takes time from others."""
    os.nice(_NICEST)
    with suppress(OSError):  # if Linux shares CPU time between sessions, the session's priority is what counts
        _AUTOGROUP.write_text(str(_NICEST), encoding="ascii")


def leave_no_core_file() -> None:
    """Disables core dumps of this process."""
    with suppress(ImportError):  # Windows writes none
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def signal_name(code: int) -> str:
    """Returns the name of the signal that ended a process, such as ``SIGKILL``.

    Args:
        code: The exit code as ``subprocess`` reports it: the negated signal number.
    """
    try:
        return signal.Signals(-code).name
    except ValueError:  # real-time signals have only numbers
        return f"signal {-code}"


def describe_end(code: int) -> str:
    """Describes how a process ended, in words.

    Args:
        code: Its exit code as ``subprocess`` reports it: for a signal, the negated signal number.
    """
    if code >= 0:
        return f"its process ended with exit code {code}"
    name = signal_name(code)
    hint = " (the system may have run out of memory)" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{hint}"
