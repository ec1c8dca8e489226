"""Making Candle's tensors."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import candle
import numpy as np
import numpy.typing as npt

from inferox.backends.candle.bfloat16 import import_bits, is_bfloat16
from inferox.backends.candle.errors import require_memory, translated
from inferox.backends.candle.exchange import COPIES, SUPPORTED, check_dtype, to_candle
from inferox.backends.candle.tensor import CandleTensor, check_device
from inferox.backends.host import HostTensorBuilder, round_to_odd
from inferox.core import (
    DataType,
    DeviceId,
    DTypeMismatchError,
    ExecutionError,
    ShapeMismatchError,
    TensorBuilder,
    UnsupportedDTypeError,
)


class CandleTensorBuilder(TensorBuilder):
    """Makes tensors on the CPU. Every one is a copy, because Candle shares its memory with no one."""

    def __init__(self) -> None:
        self._host = HostTensorBuilder("candle")

    @property
    def device(self) -> DeviceId:
        """The CPU."""
        return DeviceId.cpu()

    def with_device(self, device: DeviceId) -> CandleTensorBuilder:
        """Returns itself for the CPU.

        Raises:
            BackendUnavailableError: For every other device.
        """
        check_device(device)
        return self

    def from_slice(self, values: Sequence[Any], shape: Sequence[int], dtype: DataType) -> CandleTensor:
        """Copies Python numbers into a new tensor; see ``TensorBuilder``."""
        check_dtype(dtype)
        if dtype is not DataType.BF16:
            return self.from_numpy(self._host.from_slice(values, shape, dtype).numpy())
        wide = self._host.from_slice(values, shape, DataType.F64).numpy()
        tensor = _to_bf16(wide)
        held = np.isfinite(CandleTensor(tensor.to_dtype(candle.f32)).numpy()) | ~np.isfinite(wide)
        if not held.all():
            index = int(np.argmin(held))
            raise DTypeMismatchError(f"value {index} of a tensor", dtype, repr(values[index]))
        return CandleTensor(tensor)

    def from_numpy(self, array: npt.NDArray[Any]) -> CandleTensor:
        """Copies a NumPy array."""
        require_memory(array.nbytes * COPIES, f"a tensor of {list(array.shape)}")
        with translated("copying an array", default=ExecutionError):
            return CandleTensor(to_candle(array))

    def from_dlpack(self, source: Any) -> CandleTensor:
        """Copies a tensor of another library through DLPack; one of Candle's own is taken as it is.

        Raises:
            UnsupportedDTypeError: If Candle lacks its data type.
            ExecutionError: If it does not speak DLPack, or NumPy cannot take it over.
        """
        if isinstance(source, CandleTensor):
            return source
        with translated("taking over a tensor through DLPack", default=ExecutionError):
            if not isinstance(source, np.ndarray) and is_bfloat16(source):
                return CandleTensor(to_candle(import_bits(source), DataType.BF16))
            array = source if isinstance(source, np.ndarray) else np.from_dlpack(source)
        return self.from_numpy(array)

    def zeros(self, shape: Sequence[int], dtype: DataType) -> CandleTensor:
        """Makes a tensor of zeros."""
        self._check(shape, dtype, copies=1)
        with translated(f"making a tensor of {list(shape)}", default=ExecutionError):
            return CandleTensor(candle.zeros(tuple(shape), dtype=_candle_dtype(dtype)))

    def ones(self, shape: Sequence[int], dtype: DataType) -> CandleTensor:
        """Makes a tensor of ones."""
        self._check(shape, dtype, copies=1)
        with translated(f"making a tensor of {list(shape)}", default=ExecutionError):
            return CandleTensor(candle.ones(tuple(shape), dtype=_candle_dtype(dtype)))

    def randn(self, shape: Sequence[int], dtype: DataType, *, seed: int) -> CandleTensor:
        """Makes a tensor of draws from the standard normal distribution, the same for the same seed.

        NumPy draws them: Candle takes no seed.
        """
        if not dtype.is_floating:
            raise UnsupportedDTypeError(dtype, "randn", [known for known in SUPPORTED if known.is_floating])
        self._check(shape, DataType.F64, copies=COPIES)
        if dtype is not DataType.BF16:
            return self.from_numpy(self._host.randn(shape, dtype, seed=seed).numpy())
        return CandleTensor(_to_bf16(self._host.randn(shape, DataType.F64, seed=seed).numpy()))

    def _check(self, shape: Sequence[int], dtype: DataType, *, copies: int) -> None:
        check_dtype(dtype)
        if any(extent < 0 for extent in shape):
            raise ShapeMismatchError("a new tensor", "[extents of 0 or more]", shape)
        require_memory(prod(shape) * dtype.size * copies, f"a tensor of {list(shape)}")


def _candle_dtype(dtype: DataType) -> candle.DType:
    return getattr(candle, dtype.value)


def _to_bf16(wide: npt.NDArray[np.float64]) -> candle.Tensor:
    """Rounds to the nearest once: Candle itself goes by way of fp32."""
    with translated("rounding to bf16", default=ExecutionError):
        return to_candle(round_to_odd(wide)).to_dtype(candle.bf16)
