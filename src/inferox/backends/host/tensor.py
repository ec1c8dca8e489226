"""Tensors on the CPU in NumPy's memory, for runtimes that use it directly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.backends.host.builder import ArrayTensorBuilder
from inferox.backends.host.device import require_cpu
from inferox.core import DataType, DeviceId, Tensor, UnsupportedDTypeError, resolve_shape

SUPPORTED = tuple(dtype for dtype in DataType if dtype is not DataType.BF16)
"""The data types of tensors: all of NumPy's."""


class HostTensor(Tensor):
    """A NumPy array as a tensor. Wrapping and viewing share its memory.

    Args:
        array: The array.
        backend: The backend whose tensor it is.

    Raises:
        UnsupportedDTypeError: If its data type is ``bf16``, or one that Inferox lacks.
    """

    def __init__(self, array: npt.NDArray[Any], backend: str) -> None:
        self._dtype = DataType.from_numpy(array.dtype)
        if self._dtype not in SUPPORTED:
            raise UnsupportedDTypeError(self._dtype, backend, SUPPORTED)
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
        require_cpu(device, self._backend)
        return self

    def reshape(self, shape: Sequence[int]) -> HostTensor:
        """Returns the same elements with another shape; see ``Tensor``.

        Raises:
            ShapeMismatchError: If the number of elements differs, or the extents are ambiguous.
        """
        return HostTensor(self._array.reshape(resolve_shape(self, shape)), self._backend)

    def contiguous(self) -> HostTensor:
        """Returns the elements in row-major order without gaps; see ``Tensor``."""
        return self if self._array.flags.c_contiguous else HostTensor(np.array(self._array, order="C"), self._backend)

    def numpy(self) -> npt.NDArray[Any]:
        """Returns the array itself."""
        return self._array


class HostTensorBuilder(ArrayTensorBuilder[HostTensor]):
    """Makes tensors on the CPU that share NumPy's memory.

    Args:
        backend: The backend whose tensors they are.
    """

    def __init__(self, backend: str) -> None:
        super().__init__(backend, SUPPORTED)

    def _adopt(self, array: npt.NDArray[Any], dtype: DataType) -> HostTensor:  # noqa: ARG002 - NumPy has them all
        return HostTensor(array if array.flags.writeable else array.copy(), self._owner)
