"""Tensors on the CPU in NumPy's memory, for runtimes that take it as it is."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.backends.host.device import free_memory_bytes
from inferox.core import (
    BackendUnavailableError,
    DataType,
    DeviceId,
    DTypeMismatchError,
    ExecutionError,
    OutOfMemoryError,
    ShapeMismatchError,
    Tensor,
    TensorBuilder,
    UnsupportedDTypeError,
    resolve_shape,
)

SUPPORTED = tuple(dtype for dtype in DataType if dtype is not DataType.BF16)
"""The data types of tensors: all that NumPy has."""

_ADDRESSABLE_BYTES = 2**63 - 1

_NUMBERS = int | float | np.integer | np.floating | np.bool

_PRINTED_BITS = 128

_MOST_AXES = 64
"""What NumPy 2 counts to; version 1 stopped at 32."""


class HostTensor(Tensor):
    """A NumPy array as a tensor. Wrapping and viewing share its memory.

    Args:
        array: The array.
        backend: The backend whose tensor it is.

    Raises:
        UnsupportedDTypeError: If its data type is ``bf16`` or none of ours.
    """

    def __init__(self, array: npt.NDArray[Any], backend: str) -> None:
        self._dtype = DataType.from_numpy(array.dtype)
        _check_dtype(self._dtype, backend)
        self._array = array
        self._backend = backend

    @property
    def shape(self) -> tuple[int, ...]:
        """The extent of each axis."""
        return self._array.shape

    @property
    def dtype(self) -> DataType:
        """The type of the elements."""
        return self._dtype

    @property
    def device(self) -> DeviceId:
        """The CPU."""
        return DeviceId.cpu()

    def to_device(self, device: DeviceId) -> HostTensor:
        """Returns itself for the CPU.

        Raises:
            BackendUnavailableError: For every other device.
        """
        _check_device(device, self._backend)
        return self

    def reshape(self, shape: Sequence[int]) -> HostTensor:
        """Gives the same elements another shape; see ``Tensor``.

        Raises:
            ShapeMismatchError: If the number of elements differs, or the extents leave it open.
        """
        return HostTensor(self._array.reshape(resolve_shape(self, shape)), self._backend)

    def contiguous(self) -> HostTensor:
        """Returns the elements in row-major order without gaps; see ``Tensor``."""
        return self if self._array.flags.c_contiguous else HostTensor(np.array(self._array, order="C"), self._backend)

    def numpy(self) -> npt.NDArray[Any]:
        """The array itself."""
        return self._array

    def __dlpack__(
        self,
        *,
        stream: Any | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """Exports the memory as a DLPack capsule, as NumPy does."""
        return self._array.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        """The device as DLPack numbers it: the CPU."""
        kind, index = self._array.__dlpack_device__()
        return int(kind), index


class HostTensorBuilder(TensorBuilder):
    """Makes tensors on the CPU.

    Args:
        backend: The backend whose tensors they are.
    """

    def __init__(self, backend: str) -> None:
        self._backend = backend

    @property
    def device(self) -> DeviceId:
        """The CPU."""
        return DeviceId.cpu()

    def with_device(self, device: DeviceId) -> HostTensorBuilder:
        """Returns itself for the CPU.

        Raises:
            BackendUnavailableError: For every other device.
        """
        _check_device(device, self._backend)
        return self

    def from_slice(self, values: Sequence[Any], shape: Sequence[int], dtype: DataType) -> HostTensor:
        """Copies Python numbers into a new tensor; see ``TensorBuilder``."""
        self._check(shape, dtype)
        if prod(shape) != len(values):
            raise ShapeMismatchError(f"a tensor of {len(values)} values", f"[{len(values)} elements]", shape)
        return HostTensor(_exact(values, dtype).reshape(tuple(shape)), self._backend)

    def from_numpy(self, array: npt.NDArray[Any]) -> HostTensor:
        """Wraps a NumPy array; one that is read-only is copied."""
        return HostTensor(array if array.flags.writeable else array.copy(), self._backend)

    def from_dlpack(self, source: Any) -> HostTensor:
        """Takes over a tensor of another library through DLPack, sharing memory on the CPU.

        Raises:
            UnsupportedDTypeError: If NumPy lacks its data type.
            ExecutionError: If it does not speak DLPack, or cannot export its memory.
        """
        if isinstance(source, np.ndarray):
            return self.from_numpy(source)
        if not hasattr(source, "__dlpack__"):
            raise ExecutionError(f"a tensor to take over must speak DLPack, and {type(source).__name__} does not")
        try:
            array = np.from_dlpack(source)
        except Exception as error:
            # NumPy's words for a data type that it lacks, in an exception without a type of its own.
            if "unsupported dtype" in str(error).lower():
                found = str(getattr(source, "dtype", "of the tensor"))
                raise UnsupportedDTypeError(found, self._backend, SUPPORTED) from error
            raise ExecutionError(f"numpy cannot take over a {type(source).__name__}: {error}") from error
        return self.from_numpy(array)

    def zeros(self, shape: Sequence[int], dtype: DataType) -> HostTensor:
        """Makes a tensor of zeros."""
        with self._allocating(shape, dtype):
            return HostTensor(np.zeros(tuple(shape), dtype.numpy_dtype), self._backend)

    def ones(self, shape: Sequence[int], dtype: DataType) -> HostTensor:
        """Makes a tensor of ones."""
        with self._allocating(shape, dtype):
            return HostTensor(np.ones(tuple(shape), dtype.numpy_dtype), self._backend)

    def randn(self, shape: Sequence[int], dtype: DataType, *, seed: int) -> HostTensor:
        """Makes a tensor of draws from the standard normal distribution, the same for the same seed."""
        if not dtype.is_floating:
            raise UnsupportedDTypeError(dtype, "randn", [known for known in SUPPORTED if known.is_floating])
        with self._allocating(shape, dtype):
            drawn = np.random.default_rng(seed).standard_normal(tuple(shape))
            return HostTensor(drawn.astype(dtype.numpy_dtype), self._backend)

    @contextmanager
    def _allocating(self, shape: Sequence[int], dtype: DataType) -> Iterator[None]:
        self._check(shape, dtype)
        try:
            yield
        except MemoryError as error:
            raise _too_large(shape, dtype, free_memory_bytes()) from error

    def _check(self, shape: Sequence[int], dtype: DataType) -> None:
        _check_dtype(dtype, self._backend)
        if any(extent < 0 for extent in shape) or len(shape) > _MOST_AXES:
            raise ShapeMismatchError("a new tensor", f"[up to {_MOST_AXES} extents of 0 or more]", shape)
        # NumPy works out the strides of an empty array too, and counts an extent of 0 as 1 for them.
        if prod(max(extent, 1) for extent in shape) * dtype.size > _ADDRESSABLE_BYTES:
            raise _too_large(shape, dtype, None)


def _too_large(shape: Sequence[int], dtype: DataType, free_bytes: int | None) -> OutOfMemoryError:
    size_bytes = prod(shape) * dtype.size
    return OutOfMemoryError(
        f"a tensor of {list(shape)} takes {size_bytes} bytes", requested_bytes=size_bytes, free_bytes=free_bytes
    )


def _check_dtype(dtype: DataType, backend: str) -> None:
    if dtype not in SUPPORTED:
        raise UnsupportedDTypeError(dtype, backend, SUPPORTED)


def _check_device(device: DeviceId, backend: str) -> None:
    if device != DeviceId.cpu():
        raise BackendUnavailableError(f"{backend} has no device {device} here; it has cpu")


def _exact(values: Sequence[Any], dtype: DataType) -> npt.NDArray[Any]:
    """The values as an array, refused where the type cannot hold one: only a fraction is rounded."""
    for position, value in enumerate(values):
        # NumPy would read numbers out of texts, take None for NaN, and unpack lists.
        if not isinstance(value, _NUMBERS):
            raise DTypeMismatchError(f"value {position} of a tensor", dtype, _shown(value))
    try:
        wide = np.array(values, dtype=np.float64 if dtype.is_floating else object)
        with np.errstate(over="ignore"):
            narrow = wide.astype(dtype.numpy_dtype)
        held = np.isfinite(narrow) | ~np.isfinite(wide) if dtype.is_floating else narrow.astype(object) == wide
    except (TypeError, ValueError, OverflowError) as error:
        raise DTypeMismatchError("the values of a tensor", dtype, str(error)) from error
    if not bool(np.all(held)):
        position = int(np.argmin(held))
        raise DTypeMismatchError(f"value {position} of a tensor", dtype, _shown(values[position]))
    return narrow


def _shown(value: Any) -> str:
    # Python refuses to print an integer of several thousand digits.
    huge = isinstance(value, int) and value.bit_length() > _PRINTED_BITS
    return f"an integer of {value.bit_length()} bits" if huge else f"the value {reprlib.repr(value)}"
