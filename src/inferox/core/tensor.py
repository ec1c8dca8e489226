"""Tensors: memory that belongs to a runtime, behind one contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core.device import DeviceId
from inferox.core.dtype import DataType
from inferox.core.errors import RequestError, ShapeMismatchError
from inferox.core.shown_text import counted
from inferox.core.torch_tensor import to_torch

_DLPACK_CPU = (1, 0)


class Tensor(ABC):
    """An n-dimensional array on a device of one backend.

    A tensor keeps its data type: no method converts it. It supports DLPack, so other libraries can share its memory
    without a copy, as ``torch.from_dlpack(tensor)`` and ``numpy.from_dlpack(tensor)`` do, and ``numpy.asarray(tensor)``
    gives an array.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The extent of each axis; empty for a scalar."""

    @property
    @abstractmethod
    def dtype(self) -> DataType:
        """The type of the elements."""

    @property
    @abstractmethod
    def device(self) -> DeviceId:
        """The device that holds the elements."""

    @property
    def numel(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """The bytes that the elements take up when stored without gaps."""
        return self.numel * self.dtype.size

    @abstractmethod
    def to_device(self, device: DeviceId) -> Tensor:
        """Moves the tensor to a device; returns itself if it is already there.

        Raises:
            BackendUnavailableError: If this machine has no such device.
            UnsupportedDTypeError: If that device lacks the data type.
            OutOfMemoryError: If it does not fit there.
        """

    @abstractmethod
    def reshape(self, shape: Sequence[int]) -> Tensor:
        """Returns the same elements in the same order with another shape; shares memory where the layout allows it.

        Args:
            shape: The new extents; one of them may be -1 and is then inferred.

        Raises:
            ShapeMismatchError: If the number of elements differs.
        """

    @abstractmethod
    def contiguous(self) -> Tensor:
        """Returns the tensor in row-major order without gaps: itself if it is contiguous already, otherwise a copy."""

    @abstractmethod
    def numpy(self) -> npt.NDArray[Any]:
        """Returns the tensor as a NumPy array, sharing memory on the CPU and copying from other devices.

        Raises:
            UnsupportedDTypeError: For ``bf16``, which NumPy lacks.
        """

    def torch(self) -> Any:
        """Returns the tensor as a PyTorch tensor, sharing memory where possible.

        Raises:
            BackendUnavailableError: If PyTorch is not installed.
        """
        return to_torch(self)

    def __len__(self) -> int:
        """The length of the first dimension.

        Raises:
            TypeError: If the tensor is a scalar.
        """
        if not self.shape:
            raise TypeError("a tensor without dimensions has no length")
        return self.shape[0]

    def __bool__(self) -> bool:
        """The truth of the only element, as in NumPy.

        Raises:
            ValueError: If there are several.
        """
        return bool(self.numpy())

    def __iter__(self) -> Iterator[Any]:
        """Iterates over the first dimension, as NumPy arrays or scalars.

        Raises:
            TypeError: If the tensor is a scalar.
        """
        return iter(self.numpy())

    def __getitem__(self, index: Any) -> Any:
        """Indexes the tensor as ``numpy()`` is indexed, which copies from devices other than the CPU.

        Args:
            index: Any index of NumPy: an integer, a slice, a mask, or a tuple of these.

        Returns:
            A NumPy array or scalar.

        Raises:
            IndexError: If it is out of bounds, or has too many dimensions.
            UnsupportedDTypeError: As for ``numpy``.
        """
        return self.numpy()[index]

    def __array__(self, dtype: npt.DTypeLike | None = None, *, copy: bool | None = None) -> npt.NDArray[Any]:
        """Implements ``numpy.asarray(tensor)``: ``numpy()``, converted only if another data type is requested.

        Args:
            dtype: The data type; ``None`` for the tensor's own.
            copy: As in NumPy: ``False`` raises if a copy is needed.

        Raises:
            UnsupportedDTypeError: As for ``numpy``.
            ValueError: If a copy is needed and ``copy`` is ``False``.
        """
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(
        self,
        *,
        stream: Any | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """Exports the memory as a DLPack capsule (Python array API standard); by default that of ``numpy()``."""
        return self.numpy().__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Returns the device's DLPack type and index; by default the CPU's, which holds the memory of ``numpy()``."""
        return _DLPACK_CPU

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={list(self.shape)}, dtype={self.dtype}, device={self.device})"


class TensorBuilder(ABC):
    """A builder of one backend's tensors on one device, in exactly the requested data type."""

    @property
    @abstractmethod
    def device(self) -> DeviceId:
        """The device on which the tensors are made."""

    @abstractmethod
    def with_device(self, device: DeviceId) -> TensorBuilder:
        """Returns a builder for another device.

        Raises:
            BackendUnavailableError: If this machine has no such device.
        """

    @abstractmethod
    def from_slice(self, values: Sequence[Any], shape: Sequence[int], dtype: DataType) -> Tensor:
        """Copies Python numbers, in row-major order, into a new tensor.

        Args:
            values: The numbers, one per element of the shape.
            shape: The extent of each axis.
            dtype: The type of the elements.

        Raises:
            ShapeMismatchError: If the number of values is not what the shape holds.
            DTypeMismatchError: If a value is not representable: a fraction or NaN in an integer type, or an integer out
                of range.
            UnsupportedDTypeError: If the device lacks the data type.
        """

    @abstractmethod
    def from_numpy(self, array: npt.NDArray[Any]) -> Tensor:
        """Wraps a NumPy array, sharing its memory on the CPU and copying it elsewhere. Read-only arrays are copied.

        Raises:
            UnsupportedDTypeError: If the backend lacks the array's data type.
        """

    @abstractmethod
    def from_dlpack(self, source: Any) -> Tensor:
        """Imports a tensor of another library through DLPack, sharing memory if both are on the same device.

        Args:
            source: An object with ``__dlpack__`` and ``__dlpack_device__``.

        Raises:
            UnsupportedDTypeError: If the backend lacks its data type.
        """

    @abstractmethod
    def zeros(self, shape: Sequence[int], dtype: DataType) -> Tensor:
        """Makes a tensor of zeros."""

    @abstractmethod
    def ones(self, shape: Sequence[int], dtype: DataType) -> Tensor:
        """Makes a tensor of ones."""

    @abstractmethod
    def randn(self, shape: Sequence[int], dtype: DataType, *, seed: int) -> Tensor:
        """Makes a tensor of samples from the standard normal distribution, the same for the same seed.

        Raises:
            UnsupportedDTypeError: If the data type is not a floating-point one.
            ConfigError: If the seed is negative.
        """


def resolve_shape(tensor: Tensor, shape: Sequence[int]) -> tuple[int, ...]:
    """Resolves the extent of a reshape that is -1.

    Args:
        tensor: The tensor to reshape.
        shape: The new extents; one of them may be -1.

    Raises:
        ShapeMismatchError: If the number of elements differs, more than one extent is -1 or below it, or -1 stands
            beside a 0 and could be anything.
    """
    extents, known = tuple(shape), prod(extent for extent in shape if extent != -1)
    valid = all(extent >= -1 for extent in extents)
    if valid and extents.count(-1) == 0 and known == tensor.numel:
        return extents
    if valid and extents.count(-1) == 1 and known and tensor.numel % known == 0:
        return tuple(tensor.numel // known if extent == -1 else extent for extent in extents)
    raise ShapeMismatchError(
        f"a reshape of {list(tensor.shape)}",
        f"[extents that hold {counted(tensor.numel, 'element')}]",
        extents,
        hint="one extent may be -1 and is then worked out; beside a 0 it could be anything and is refused",
    )


TensorLike = Tensor | npt.NDArray[Any]
"""An input of ``Model.forward``: a backend's tensor, or a NumPy array of the same shape and data type."""


def dtype_of(value: TensorLike) -> DataType:
    """Returns the data type of a tensor or a NumPy array.

    Raises:
        UnsupportedDTypeError: If it is an array of a type that Inferox lacks.
        RequestError: If it is neither.
    """
    if isinstance(value, np.ndarray):
        return DataType.from_numpy(value.dtype)
    if not isinstance(value, Tensor):
        raise RequestError(
            f"a model takes tensors and NumPy arrays, but got a value of the type {type(value).__name__}",
            hint="make an array of it, in the data type that the signature states",
        )
    return value.dtype


def to_array(value: TensorLike) -> npt.NDArray[Any]:
    """Returns the elements as a NumPy array: the array itself, or a tensor's ``numpy()``.

    Args:
        value: A tensor or an array.

    Raises:
        UnsupportedDTypeError: If NumPy lacks the tensor's data type.
    """
    return value if isinstance(value, np.ndarray) else value.numpy()
