"""A model of NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from inferox.core import (
    BATCH,
    SEQUENCE,
    DataType,
    DeviceId,
    Layout,
    MemoryRequirements,
    Model,
    ModelMetadata,
    Precision,
    Signature,
    Tensor,
    TensorLike,
    TensorSpec,
)

Arrays = dict[str, npt.NDArray[Any]]


class Computed:
    """As much of a tensor as batching reads."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self._array = array

    def numpy(self) -> npt.NDArray[Any]:
        return self._array


class FunctionModel(Model):
    """A model that computes with a Python function, and notes the shapes that it was called with."""

    def __init__(self, signature: Signature, compute: Callable[[Arrays], Arrays]) -> None:
        self._signature = signature
        self._function = compute
        self.shapes: list[tuple[int, ...]] = []

    @property
    def name(self) -> str:
        return "function"

    @property
    def metadata(self) -> ModelMetadata:
        return ModelMetadata("numpy", "function", Precision.FP32, Layout.PADDED, DeviceId.cpu())

    @property
    def signature(self) -> Signature:
        return self._signature

    def memory_requirements(self) -> MemoryRequirements:
        return MemoryRequirements(0)

    def close(self) -> None:
        pass

    def _compute(self, inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        self.shapes.append(next(iter(arrays.values())).shape)
        return {name: cast("Tensor", Computed(value)) for name, value in self._function(arrays).items()}


def ids(*dims: int | str) -> TensorSpec:
    return TensorSpec("ids", DataType.I64, dims or (BATCH, SEQUENCE))


def mask(*dims: int | str) -> TensorSpec:
    return TensorSpec("mask", DataType.I64, dims or (BATCH, SEQUENCE))


def floats(name: str, *dims: int | str) -> TensorSpec:
    return TensorSpec(name, DataType.F32, dims)


def row(length: int, start: int = 1) -> Arrays:
    """A row of ``ids`` from ``start`` up, and a mask of ones."""
    return {"ids": np.arange(start, start + length, dtype=np.int64), "mask": np.ones(length, dtype=np.int64)}
