"""The memory use of a server's processes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from inferox.engine import WorkerInfo


def measure_memory(workers: Iterable[WorkerInfo]) -> dict[str, int]:
    """Measures the resident memory of processes, summed by kind, in bytes.

    Args:
        workers: The worker processes.

    Returns:
        The bytes of ``front``, ``worker``, ``sandbox`` and ``shadow``; unreadable ones, as on macOS, are left out.
    """
    processes = [("front", os.getpid())]
    processes += [(_kind_of(worker), worker.pid) for worker in workers]
    found: dict[str, int] = {}
    for kind, pid in processes:
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        except OSError:  # it has ended meanwhile, or the system has no such file
            continue
        found[kind] = found.get(kind, 0) + pages * os.sysconf("SC_PAGE_SIZE")
    return found


def _kind_of(worker: WorkerInfo) -> str:
    if worker.is_shadow:
        return "shadow"
    return "sandbox" if worker.is_sandbox else "worker"
