"""Specifications for small models."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from inferox.core import DataType, TensorSpec

Arrays = dict[str, npt.NDArray[Any]]


def floats(name: str, *dims: int | str) -> TensorSpec:
    return TensorSpec(name, DataType.F32, dims)
