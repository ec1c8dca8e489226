"""Making PyTorch tensors."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.dlpack import from_dlpack

from inferox.backends.host import round_to_odd
from inferox.backends.torch import device as devices
from inferox.backends.torch import dtype as dtypes
from inferox.backends.torch.errors import translated
from inferox.backends.torch.tensor import TorchTensor
from inferox.core import (
    ConfigError,
    DataType,
    DeviceId,
    DTypeMismatchError,
    ExecutionError,
    OutOfMemoryError,
    ShapeMismatchError,
    TensorBuilder,
    UnsupportedDTypeError,
)

_ADDRESSABLE_BYTES = 2**63 - 1

_PRINTED_BITS = 128

_INTEGERS = int | np.integer | np.bool
_FLOATS = float | np.floating


class TorchTensorBuilder(TensorBuilder):
    """Makes PyTorch tensors on one device.

    Every method raises ``UnsupportedDTypeError`` for a data type that the device lacks, ``ShapeMismatchError`` for a
    negative extent and ``OutOfMemoryError`` for a tensor that does not fit.

    Args:
        device: Where to make them.

    Raises:
        BackendUnavailableError: If this machine has no such device.
    """

    def __init__(self, device: DeviceId) -> None:
        self._target = devices.to_torch(device)
        self._device = device

    @property
    def device(self) -> DeviceId:
        """Where the tensors are made."""
        return self._device

    def with_device(self, device: DeviceId) -> TorchTensorBuilder:
        """Returns a builder for another device.

        Raises:
            BackendUnavailableError: If this machine has no such device.
        """
        return TorchTensorBuilder(device)

    def from_slice(self, values: Sequence[Any], shape: Sequence[int], dtype: DataType) -> TorchTensor:
        """Copies Python or NumPy numbers, in row-major order, into a new tensor.

        Floating-point types take the nearest value that they hold; every other type takes a value only as it is.

        Args:
            values: As many numbers as the shape has elements.
            shape: The extent of each axis.
            dtype: The type of the elements. ``bool`` takes 0 and 1 as well.

        Raises:
            ShapeMismatchError: If the number of values is not what the shape holds.
            DTypeMismatchError: If a value is no number, is a fraction, NaN or out of range for an integer type, or is
                finite and beyond what a floating-point type holds.
            UnsupportedDTypeError: If the device lacks the data type.
        """
        self._check(shape, dtype)
        if prod(shape) != len(values):
            raise ShapeMismatchError(
                f"a tensor of {len(values)} values", f"[extents that hold {len(values)} elements]", shape
            )
        numbers = _real_numbers(values, dtype) if dtype.is_floating else _whole_numbers(values, dtype)
        with translated(f"making a tensor of {len(values)} values", default=ExecutionError):
            wide = _wide(numbers, dtype)
            # PyTorch goes to the narrow types by way of fp32, and would round twice.
            twice = dtype in {DataType.F16, DataType.BF16}
            narrow = (torch.from_numpy(round_to_odd(wide.numpy())) if twice else wide).to(dtypes.to_torch(dtype))
        if dtype.is_floating:
            overflowed = (narrow.isinf() & wide.isfinite()).nonzero()
            if len(overflowed):
                raise _unrepresentable(values, int(overflowed[0]), dtype)
        return self._place(narrow.reshape(tuple(shape)))

    def from_numpy(self, array: npt.NDArray[Any]) -> TorchTensor:
        """Wraps a NumPy array, sharing its memory on the CPU.

        It is copied to any other device, and on the CPU where it is read-only or has strides that PyTorch cannot
        express: negative ones, or ones that are no multiple of the element's size.

        Args:
            array: An array of one of our data types, the ``bfloat16`` of ml_dtypes included.

        Raises:
            UnsupportedDTypeError: If it is of another type, or the device lacks it.
        """
        dtype = DataType.from_numpy(array.dtype)
        dtypes.check_dtype(dtype, self._device)
        with translated("taking over a NumPy array", default=ExecutionError):
            # PyTorch knows no bfloat16 of NumPy's: the bits pass as integers of the same size.
            bits = np.asarray(array).view(np.int16) if dtype is DataType.BF16 else np.asarray(array)
            shareable = array.flags.writeable and all(s >= 0 and s % array.itemsize == 0 for s in array.strides)
            tensor = torch.from_numpy(bits if shareable else bits.copy())
            return self._place(tensor.view(torch.bfloat16) if dtype is DataType.BF16 else tensor)

    def from_dlpack(self, source: Any) -> TorchTensor:
        """Takes over a tensor of another library through DLPack, sharing memory where both are on the same device.

        NumPy arrays are taken as by ``from_numpy``, for through DLPack a read-only one would become writable.

        Args:
            source: An object with ``__dlpack__`` and ``__dlpack_device__``.

        Raises:
            UnsupportedDTypeError: If it has a data type outside the ten, or one that this device lacks.
            ExecutionError: If it does not speak DLPack, or cannot export its memory.
        """
        if isinstance(source, np.ndarray):
            return self.from_numpy(source)
        if not hasattr(source, "__dlpack__"):
            raise ExecutionError(f"a tensor to take over must speak DLPack, and {type(source).__name__} does not")
        with translated("taking over a tensor through DLPack", default=ExecutionError):
            tensor = from_dlpack(source.detach() if isinstance(source, torch.Tensor) else source)
        return TorchTensor(tensor).to_device(self._device)

    def zeros(self, shape: Sequence[int], dtype: DataType) -> TorchTensor:
        """Makes a tensor of zeros."""
        return self._filled(shape, dtype, 0)

    def ones(self, shape: Sequence[int], dtype: DataType) -> TorchTensor:
        """Makes a tensor of ones."""
        return self._filled(shape, dtype, 1)

    def randn(self, shape: Sequence[int], dtype: DataType, *, seed: int) -> TorchTensor:
        """Makes a tensor of draws from the standard normal distribution.

        The draws come from NumPy's generator, so that one seed gives the same values on every device, and leaves
        PyTorch's and NumPy's own random state alone. ``f16`` and ``bf16`` hold the rounded draws of ``f32``.

        Args:
            shape: The extent of each axis.
            dtype: A floating-point type.
            seed: Any number from 0.

        Raises:
            UnsupportedDTypeError: If the data type is not a floating-point one, or the device lacks it.
            ConfigError: If the seed is negative.
        """
        if not dtype.is_floating:
            floating = [known for known in dtypes.supported_dtypes(self._device) if known.is_floating]
            raise UnsupportedDTypeError(dtype, "randn", floating)
        self._check(shape, dtype)
        if seed < 0:
            raise ConfigError(f"a seed must be 0 or more, and is {seed}")
        with translated(f"drawing a tensor of {list(shape)}", default=ExecutionError):
            # In a row: PyTorch has more axes than NumPy.
            drawn = torch.empty(prod(shape), dtype=torch.float64 if dtype is DataType.F64 else torch.float32)
            np.random.default_rng(seed).standard_normal(out=drawn.numpy(), dtype=drawn.numpy().dtype)
            return self._place(drawn.to(dtypes.to_torch(dtype)).reshape(tuple(shape)))

    def _filled(self, shape: Sequence[int], dtype: DataType, value: int) -> TorchTensor:
        self._check(shape, dtype)
        with translated(f"making a tensor of {list(shape)}", default=ExecutionError):
            return TorchTensor(torch.full(tuple(shape), value, dtype=dtypes.to_torch(dtype), device=self._target))

    def _place(self, tensor: torch.Tensor) -> TorchTensor:
        return TorchTensor(tensor).to_device(self._device)

    def _check(self, shape: Sequence[int], dtype: DataType) -> None:
        """Refuses what PyTorch would refuse, or would not survive, before it sees it."""
        dtypes.check_dtype(dtype, self._device)
        if any(extent < 0 for extent in shape):
            raise ShapeMismatchError("a new tensor", "[extents of 0 or more]", shape)
        # PyTorch works out the strides of an empty tensor too, and counts an extent of 0 as 1 for them.
        size_bytes = prod(max(extent, 1) for extent in shape) * dtype.size
        if size_bytes > _ADDRESSABLE_BYTES:
            raise OutOfMemoryError(
                f"a tensor of {list(shape)} spans {size_bytes} bytes, more than any machine can address",
                requested_bytes=size_bytes,
                free_bytes=None,
            )


def _wide(numbers: Sequence[float], dtype: DataType) -> torch.Tensor:
    """A vector of the widest type of its kind; of 64 unsigned bits by way of NumPy, as PyTorch would overflow."""
    if dtype is DataType.U64:
        return torch.from_numpy(np.array(numbers, np.uint64))
    return torch.tensor(numbers, dtype=torch.float64 if dtype.is_floating else torch.int64)


def _whole_numbers(values: Sequence[Any], dtype: DataType) -> list[int]:
    """The values as integers that the data type holds."""
    bounds = range(2) if dtype is DataType.BOOL else _bounds(dtype)
    numbers = []
    for position, value in enumerate(values):
        whole = isinstance(value, _INTEGERS) or (isinstance(value, _FLOATS) and float(value).is_integer())
        if not whole or int(value) not in bounds:
            raise _unrepresentable(values, position, dtype)
        numbers.append(int(value))
    return numbers


def _bounds(dtype: DataType) -> range:
    limits = np.iinfo(dtype.numpy_dtype)
    return range(int(limits.min), int(limits.max) + 1)


def _real_numbers(values: Sequence[Any], dtype: DataType) -> list[float]:
    """The values in double precision."""
    numbers = []
    for position, value in enumerate(values):
        if not isinstance(value, _INTEGERS | _FLOATS):
            raise _unrepresentable(values, position, dtype)
        try:
            numbers.append(float(value))
        except OverflowError:
            raise _unrepresentable(values, position, dtype) from None
    return numbers


def _unrepresentable(values: Sequence[Any], position: int, dtype: DataType) -> DTypeMismatchError:
    value = values[position]
    # Python refuses to print an integer of several thousand digits.
    huge = isinstance(value, int) and value.bit_length() > _PRINTED_BITS
    shown = f"an integer of {value.bit_length()} bits" if huge else f"the value {reprlib.repr(value)}"
    return DTypeMismatchError(f"value {position}", dtype, shown)
