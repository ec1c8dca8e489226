"""The number of CPU threads that one loaded model may use, the same for every runtime."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from inferox.core import counted, positive_integer
from inferox.core.errors import ConfigError
from inferox.machine.cgroup import cpu_limit

_RAYON = "RAYON_NUM_THREADS"

_MOST_THREADS = 64
"""The most threads that may be requested on a machine with fewer cores. Runtimes start as many as they are told: on two
cores, ONNX Runtime with 1,024 computes nothing for minutes, and PyTorch with 100,000 kills the process."""


@dataclass
class _Setting:
    """The value of an environment variable that both the operator and this process may set."""

    written: str | None = None
    """The value that this process wrote last; any other value is the operator's."""

    operators: str | None = None
    """The operator's value; ``None`` if it is not set."""


_rayon = _Setting()


def available_cores() -> int:
    """Counts the cores that this process may use: those it may be scheduled on, and no more than its container allows.

    A fraction of a core counts as a whole one: a thread that waits for its time slice costs less than an idle core.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = cpu_limit()
    return max(1, cores if limit is None else min(cores, math.ceil(limit)))


def most_threads() -> int:
    """Returns the most threads, or compute processes, that may be requested: the number of cores, and at least 64."""
    return max(_MOST_THREADS, os.cpu_count() or 1)


def resolve_threads(threads: int | None) -> int:
    """Returns the thread budget: the requested number, or the default.

    Args:
        threads: The number of threads requested; ``None`` for one per core that this process may use.

    Raises:
        ConfigError: If the number is not a positive integer, or far exceeds this machine's cores.
    """
    if threads is None:
        return available_cores()
    budget = positive_integer("the number of threads", threads)
    if budget > most_threads():
        raise ConfigError(
            f"the number of threads may be at most {most_threads():,} on this machine, but is {budget:,}",
            hint=f"leave it out for one per core, which is {threads_text(available_cores())} here",
        )
    return budget


def threads_text(count: int) -> str:
    """Formats a thread budget: ``1 thread``, ``2 threads``."""
    return counted(count, "thread")


def limit_rayon(threads: int | None) -> int:
    """Sets the thread budget of libraries written in Rust (tokenizers, Candle), which share one pool per process.

    They read it from ``RAYON_NUM_THREADS`` when they first use the pool, so that no later budget can enlarge it. A
    value that the operator has set there holds, except for models whose caller requests another number.

    Args:
        threads: The number of threads requested; ``None`` for the operator's setting, or else one per core that this
            process may use.

    Returns:
        The budget that the variable now states.

    Raises:
        ConfigError: If fewer than one are requested, or too many.
    """
    found = os.environ.get(_RAYON)
    if found != _rayon.written:
        _rayon.operators = found
    operators = None if threads is not None else _rayon.operators
    value = str(resolve_threads(threads)) if operators is None else operators
    os.environ[_RAYON] = _rayon.written = value
    # Rayon itself falls back to one thread per core if it cannot use the value.
    return int(value) if value.isdecimal() and int(value) else available_cores()
