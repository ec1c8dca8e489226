"""The cores that a test process uses."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def _find_own() -> set[int]:
    return os.sched_getaffinity(0) if sys.platform == "linux" else set(range(os.cpu_count() or 1))


def _keep_to(cores: set[int]) -> None:
    if sys.platform == "linux":
        os.sched_setaffinity(0, cores)


ALL_CORES = _find_own()
"""The cores that this process was started with."""


def stay_on_one_core() -> None:
    """Pins a worker of pytest-xdist to one core, and every library in it to one thread.

    Threads of several workers on the same cores wait for one another at the end of every small product: on 2 cores a
    tiny model took seven times as long. To be called before the libraries are imported, as they only look once.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    cores = sorted(ALL_CORES)
    _keep_to({cores[int(worker.removeprefix("gw")) % len(cores)]})


@contextmanager
def all_cores() -> Iterator[None]:
    """Lets programs that are started in the block use every core, for tests of how many they use."""
    own = _find_own()
    _keep_to(ALL_CORES)
    try:
        yield
    finally:
        _keep_to(own)
