"""The number of CPU threads that one loaded model may use, the same for every runtime."""

from __future__ import annotations

import math
import os

from inferox.core.cgroup import cpu_limit
from inferox.core.errors import ConfigError

_RAYON = "RAYON_NUM_THREADS"


def available_cores() -> int:
    """The cores that this process may use: those it may be scheduled on, and no more than its container allows.

    A part of a core counts as a whole one, as a thread that waits for its share of time costs less than a core that
    stands idle.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = cpu_limit()
    return max(1, cores if limit is None else min(cores, math.ceil(limit)))


def resolve_threads(threads: int | None) -> int:
    """The thread budget that holds where one was asked for or not.

    Args:
        threads: How many threads were asked for; ``None`` for one for each core that this process may use.

    Raises:
        ConfigError: If fewer than one are asked for.
    """
    if threads is None:
        return available_cores()
    if threads < 1:
        raise ConfigError(f"the number of threads must be 1 or more, and is {threads}")
    return threads


def limit_rayon(threads: int | None) -> int:
    """Gives the thread budget to libraries written in Rust (tokenizers, Candle), which share one pool in a process.

    They read it from the environment: the size of the pool when they first use it, so that no later budget can raise
    it. Where nobody asks for a number, one that the operator has set in ``RAYON_NUM_THREADS`` stays.

    Args:
        threads: How many threads were asked for; ``None`` for one for each core that this process may use.

    Returns:
        The budget that holds.

    Raises:
        ConfigError: If fewer than one are asked for.
    """
    if threads is not None or _RAYON not in os.environ:
        os.environ[_RAYON] = str(resolve_threads(threads))
    return resolve_threads(threads)
