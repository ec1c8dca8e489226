"""The builder of tensors from NumPy arrays."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from inferox.backends.host.device import free_memory_bytes, require_cpu
from inferox.backends.host.numbers import draw_normal, hold_numbers
from inferox.core import (
    ConfigError,
    DataType,
    DeviceId,
    ExecutionError,
    OutOfMemoryError,
    ShapeMismatchError,
    Tensor,
    TensorBuilder,
    UnsupportedDTypeError,
    counted,
)

_ADDRESSABLE_BYTES = 2**63 - 1

_MOST_AXES = 64
"""The most axes in NumPy 2; in version 1 it was 32."""

_ONE_IN_BF16 = 0x3F80

T = TypeVar("T", bound=Tensor)


class ArrayTensorBuilder(TensorBuilder, Generic[T]):
    """Makes a runtime's tensors from NumPy arrays, on the CPU unless a subclass has other devices.

    A subclass defines how an array becomes its tensor and, if that differs from the default, how it imports tensors of
    other libraries and how it ensures that there is enough memory. NumPy has no ``bf16``: its arrays hold the bits, as
    int16.

    Every method raises ``UnsupportedDTypeError`` for a data type that is missing here, ``ShapeMismatchError`` for a
    shape that NumPy cannot have and ``OutOfMemoryError`` for a tensor that does not fit.

    Args:
        owner: The owner of the tensors in errors: ``onnxruntime``, or ``torch on cuda:0``.
        dtypes: The data types that they can have.
    """

    def __init__(self, owner: str, dtypes: Sequence[DataType]) -> None:
        self._owner = owner
        self._dtypes = tuple(dtypes)

    @property
    def device(self) -> DeviceId:
        """The device on which the tensors are made."""
        return DeviceId.cpu()

    def with_device(self, device: DeviceId) -> ArrayTensorBuilder[T]:
        """Returns itself for the CPU.

        Raises:
            BackendUnavailableError: For every other device.
        """
        require_cpu(device, self._owner)
        return self

    def from_slice(self, values: Sequence[Any], shape: Sequence[int], dtype: DataType) -> T:
        """Copies Python or NumPy numbers, in row-major order, into a new tensor; see ``TensorBuilder``.

        Floating-point types round to the nearest value; every other type accepts only values that it can represent
        exactly. ``bool`` accepts 0 and 1 as well.
        """
        self._check(shape, dtype)
        if prod(shape) != len(values):
            expected = f"[extents that hold {counted(len(values), 'element')}]"
            raise ShapeMismatchError(f"a tensor of {counted(len(values), 'value')}", expected, shape)
        with self._allocating(shape, dtype):
            return self._adopt(hold_numbers(values, dtype).reshape(tuple(shape)), dtype)

    def from_numpy(self, array: npt.NDArray[Any]) -> T:
        """Makes a tensor from a NumPy array, including ml_dtypes' ``bfloat16``; see ``TensorBuilder``."""
        dtype = DataType.from_numpy(array.dtype)
        self._require_dtype(dtype)
        self._require_memory(array.nbytes, array.shape)
        plain = np.asarray(array)
        with self._allocating(array.shape, dtype):
            return self._adopt(plain.view(np.int16) if dtype is DataType.BF16 else plain, dtype)

    def from_dlpack(self, source: Any) -> T:
        """Imports a tensor of another library through DLPack; see ``TensorBuilder``.

        NumPy arrays are handled like in ``from_numpy``, since through DLPack a read-only one might become writable.

        Raises:
            UnsupportedDTypeError: If there is no such data type here.
            ExecutionError: If it does not support DLPack, or cannot export its memory.
        """
        if isinstance(source, np.ndarray):
            return self.from_numpy(source)
        if not hasattr(source, "__dlpack__"):
            raise ExecutionError(f"a tensor to import must support DLPack, but {type(source).__name__} does not")
        return self._take_over(source)

    def zeros(self, shape: Sequence[int], dtype: DataType) -> T:
        """Makes a tensor of zeros."""
        self._check(shape, dtype)
        return self._fill(shape, dtype, 0)

    def ones(self, shape: Sequence[int], dtype: DataType) -> T:
        """Makes a tensor of ones."""
        self._check(shape, dtype)
        return self._fill(shape, dtype, 1)

    def randn(self, shape: Sequence[int], dtype: DataType, *, seed: int) -> T:
        """Makes a tensor of samples from the standard normal distribution.

        A seed gives the same samples, drawn in ``f64`` and rounded once, whatever the runtime and the device, and does
        not affect any other random state.

        Args:
            shape: The extent of each axis.
            dtype: A floating-point type.
            seed: A non-negative integer.

        Raises:
            UnsupportedDTypeError: If the data type is not a floating-point one.
            ConfigError: If the seed is negative.
        """
        if not dtype.is_floating:
            raise UnsupportedDTypeError(dtype, "randn", [known for known in self._dtypes if known.is_floating])
        self._check(shape, dtype)
        if seed < 0:
            raise ConfigError(f"a seed must be 0 or more, but is {seed}")
        with self._allocating(shape, dtype):
            return self._adopt(draw_normal(prod(shape), dtype, seed).reshape(tuple(shape)), dtype)

    @abstractmethod
    def _adopt(self, array: npt.NDArray[Any], dtype: DataType) -> T:
        """Makes a tensor from an array, sharing its memory if possible.

        Args:
            array: The array, of any memory layout, and possibly read-only: then it must not become writable.
            dtype: Its data type; for ``bf16``, the array holds the bits as int16.
        """

    def _take_over(self, source: Any) -> T:
        """Imports an object that has ``__dlpack__`` and is not an array; by default as NumPy does."""
        try:
            array = np.from_dlpack(source)
        except Exception as error:
            # NumPy's wording for a data type that it lacks, in an exception without a type of its own.
            if "unsupported dtype" in str(error).lower():
                found = str(getattr(source, "dtype", "of the tensor"))
                raise UnsupportedDTypeError(found, self._owner, self._dtypes) from error
            raise ExecutionError(f"numpy cannot import a {type(source).__name__}: {error}") from error
        return self.from_numpy(array)

    def _fill(self, shape: Sequence[int], dtype: DataType, value: int) -> T:
        """Makes a tensor of zeros or ones, with a shape and data type that were checked."""
        with self._allocating(shape, dtype):
            is_bits = dtype is DataType.BF16
            array = (np.ones if value else np.zeros)(tuple(shape), np.int16 if is_bits else dtype.numpy_dtype)
            return self._adopt(array * np.int16(_ONE_IN_BF16) if is_bits else array, dtype)

    def _require_memory(self, size_bytes: int, shape: Sequence[int]) -> None:
        """Refuses a tensor that would not fit. By default, it is left to the allocation to fail.

        Args:
            size_bytes: The bytes of its elements.
            shape: Its shape, for the error.
        """

    @contextmanager
    def _allocating(self, shape: Sequence[int], dtype: DataType) -> Iterator[None]:
        try:
            yield
        except MemoryError as error:
            size_bytes = prod(shape) * dtype.size
            message = f"{self._owner} does not have enough memory for a tensor of {list(shape)}, of {size_bytes} bytes"
            raise OutOfMemoryError(message, requested_bytes=size_bytes, free_bytes=free_memory_bytes()) from error

    def _check(self, shape: Sequence[int], dtype: DataType) -> None:
        self._require_dtype(dtype)
        if any(extent < 0 for extent in shape) or len(shape) > _MOST_AXES:
            raise ShapeMismatchError("a new tensor", f"[up to {_MOST_AXES} extents of 0 or more]", shape)
        self._require_memory(prod(shape) * dtype.size, shape)
        # The strides of an empty array are computed too, and an extent of 0 counts as 1 for them.
        size_bytes = prod(max(extent, 1) for extent in shape) * dtype.size
        if size_bytes > _ADDRESSABLE_BYTES:
            raise OutOfMemoryError(
                f"a tensor of {list(shape)} spans {counted(size_bytes, 'byte')}, more than any machine can address",
                requested_bytes=size_bytes,
                free_bytes=None,
            )

    def _require_dtype(self, dtype: DataType) -> None:
        if dtype not in self._dtypes:
            raise UnsupportedDTypeError(dtype, self._owner, self._dtypes)
