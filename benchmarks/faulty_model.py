"""A model that fails on certain texts, each in its own way. ``faults.py`` loads it into worker processes."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import inferox
from inferox.core import Batch, ExecutionError, OutOfMemoryError, Outputs

PACKAGE, BACKEND, THREADS = "INFEROX_FAULTS_PACKAGE", "INFEROX_FAULTS_BACKEND", "INFEROX_FAULTS_THREADS"
"""The environment variables that say what is loaded."""

MARKS = {"crash": "♥", "hang": "♦", "raise": "♣", "nan": "♠", "out of memory": "♭", "bomb": "♯", "oom kill": "★"}
"""The word in a text that triggers each fault; one token in BERT's vocabulary."""

_ROOM_BYTES = 384 << 20
"""The memory that a worker may take beside what it has once the model is loaded."""

_CHUNK_BYTES = 8 << 20


def make() -> Any:
    """Makes the model of the package, with its faults."""
    loaded = inferox.load(os.environ[PACKAGE], os.environ[BACKEND], threads=int(os.environ[THREADS]))
    tokens = {name: int(loaded.task.encode([mark]).ragged["input_ids"][1]) for name, mark in MARKS.items()}
    loaded.model.compute = _with_faults(loaded.model.compute, tokens)  # type: ignore[method-assign]
    limit_memory()
    return loaded


def limit_memory() -> None:
    """Limits the memory of this worker, so that a row that takes all of it harms nothing else on the machine."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    taken = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (taken + _ROOM_BYTES, resource.RLIM_INFINITY))


def _with_faults(compute: Callable[[Batch], Any], tokens: dict[str, int]) -> Callable[[Batch], Any]:
    def compute_or_fail(batch: Batch) -> Outputs:
        ids = batch.ragged["input_ids"]
        present = set(ids.tolist())
        if tokens["crash"] in present:
            ctypes.string_at(0)
        if tokens["hang"] in present:
            time.sleep(3600)
        if tokens["raise"] in present:
            raise ExecutionError("a row that cannot be computed")
        if tokens["out of memory"] in present:
            raise OutOfMemoryError("a row that takes too much memory", requested_bytes=1 << 40, free_bytes=None)
        if tokens["bomb"] in present:
            _take_all_memory()
        if tokens["oom kill"] in present:
            os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does
        outputs = compute(batch)
        return _spoil(outputs, batch, ids == tokens["nan"]) if tokens["nan"] in present else outputs

    return compute_or_fail


def _take_all_memory() -> None:
    """Takes memory until there is no more, and leaves the error to the computation."""
    taken = [np.ones(_CHUNK_BYTES, np.uint8) for _ in range(2 * _ROOM_BYTES // _CHUNK_BYTES)]
    raise AssertionError(f"{len(taken)} pieces were taken, although the memory is limited")


def _spoil(outputs: Outputs, batch: Batch, marked: npt.NDArray[np.bool_]) -> Outputs:
    """Sets the outputs of rows with a marked token to NaN."""
    for row, (first, after) in enumerate(zip(batch.cu_seqlens[:-1], batch.cu_seqlens[1:], strict=True)):
        if marked[first:after].any():
            for array in outputs[row].values():  # these are views of the outputs
                array[...] = np.nan
    return outputs
