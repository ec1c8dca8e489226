"""Rows and specifications for small models."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import BATCH, SEQUENCE, DataType, TensorSpec

Arrays = dict[str, npt.NDArray[Any]]


def ids(*dims: int | str) -> TensorSpec:
    return TensorSpec("ids", DataType.I64, dims or (BATCH, SEQUENCE))


def mask(*dims: int | str) -> TensorSpec:
    return TensorSpec("mask", DataType.I64, dims or (BATCH, SEQUENCE))


def floats(name: str, *dims: int | str) -> TensorSpec:
    return TensorSpec(name, DataType.F32, dims)


def row(length: int, start: int = 1) -> Arrays:
    """A row of ``ids`` from ``start`` up, and a mask of ones."""
    return {"ids": np.arange(start, start + length, dtype=np.int64), "mask": np.ones(length, dtype=np.int64)}
