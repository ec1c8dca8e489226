"""A model that ends its process, hangs or fails on certain texts, as ``faults.py`` loads it into worker processes."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import inferox
from inferox.core import Batch, ExecutionError

PACKAGE, BACKEND, THREADS = "INFEROX_FAULTS_PACKAGE", "INFEROX_FAULTS_BACKEND", "INFEROX_FAULTS_THREADS"
"""The variables of the environment that say what is loaded."""

MARKS = {"crash": "♥", "hang": "♦", "raise": "♣"}
"""What a text contains that does each; one token in the vocabulary of BERT."""


def make() -> Any:
    """The model of the package, with its faults."""
    loaded = inferox.load(os.environ[PACKAGE], os.environ[BACKEND], threads=int(os.environ[THREADS]))
    tokens = {name: int(loaded.task.encode([mark]).ragged["input_ids"][1]) for name, mark in MARKS.items()}
    loaded.model.compute = _with_faults(loaded.model.compute, tokens)  # type: ignore[method-assign]
    return loaded


def _with_faults(compute: Callable[[Batch], Any], tokens: dict[str, int]) -> Callable[[Batch], Any]:
    def compute_or_fail(batch: Batch) -> Any:
        ids = batch.ragged["input_ids"]
        if np.any(ids == tokens["crash"]):
            ctypes.string_at(0)
        if np.any(ids == tokens["hang"]):
            time.sleep(3600)
        if np.any(ids == tokens["raise"]):
            raise ExecutionError("a row that cannot be computed")
        return compute(batch)

    return compute_or_fail
