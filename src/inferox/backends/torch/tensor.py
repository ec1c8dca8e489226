"""A PyTorch tensor behind the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch.utils.dlpack import DLDeviceType

from inferox.backends.torch import device as devices
from inferox.backends.torch import dtype as dtypes
from inferox.backends.torch.errors import translated
from inferox.core import DataType, DeviceId, ExecutionError, Tensor, resolve_shape

_DLPACK_CPU = (DLDeviceType.kDLCPU, 0)


class TorchTensor(Tensor):
    """Wraps a ``torch.Tensor`` without copying it, except one in Vulkan's memory, which is copied to the CPU.

    It is detached from gradients: the wrapped tensor shares the memory, but requires none.

    Args:
        tensor: A dense tensor of one of Inferox's data types.

    Raises:
        UnsupportedDTypeError: If Inferox lacks its data type.
        ExecutionError: If it is sparse or nested, or has no memory, as on PyTorch's ``meta`` device.
    """

    def __init__(self, tensor: torch.Tensor) -> None:
        fault = _fault(tensor)
        if fault:
            raise ExecutionError(f"a tensor must be dense and have memory, but this one is {fault}")
        self._dtype = dtypes.from_torch(tensor.dtype)
        self._tensor = tensor.detach()
        # A lazy negation of PyTorch's would be lost on the way to other libraries.
        if tensor.device.type == "vulkan" or tensor.is_neg():
            with translated("taking over a tensor", default=ExecutionError):
                self._tensor = (self._tensor.cpu() if tensor.device.type == "vulkan" else self._tensor).resolve_neg()

    def torch(self) -> torch.Tensor:
        """Returns the tensor itself, sharing its memory."""
        return self._tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """The extent of each axis."""
        return tuple(self._tensor.shape)

    @property
    def dtype(self) -> DataType:
        """The type of the elements."""
        return self._dtype

    @property
    def device(self) -> DeviceId:
        """The device of the elements."""
        return devices.from_torch(self._tensor.device)

    def to_device(self, device: DeviceId) -> TorchTensor:
        """Copies the tensor to another device; returns itself if it is already there.

        Raises:
            BackendUnavailableError: If this machine has no such device.
            UnsupportedDTypeError: If that device lacks the data type.
            OutOfMemoryError: If it does not fit there.
            ExecutionError: If the copy fails in another way.
        """
        if device == self.device:
            return self
        target = devices.to_torch(device)
        dtypes.check_dtype(self._dtype, device)
        with translated(f"moving {self} to {device}", default=ExecutionError):
            return TorchTensor(self._tensor.to(target))

    def reshape(self, shape: Sequence[int]) -> TorchTensor:
        """Returns the same elements with another shape; copies only if the memory layout does not allow a view.

        Args:
            shape: The new extents; one of them may be -1 and is then inferred.

        Raises:
            ShapeMismatchError: If the number of elements differs, more than one extent is -1 or below it, or -1 stands
                beside a 0 and could be anything.
            OutOfMemoryError: If a copy is needed and does not fit.
        """
        extents = resolve_shape(self, shape)
        with translated(f"reshaping {self}", default=ExecutionError):
            return TorchTensor(self._tensor.reshape(extents))

    def contiguous(self) -> TorchTensor:
        """Returns the tensor in row-major order without gaps: itself if it is contiguous already, otherwise a copy.

        Raises:
            OutOfMemoryError: If the copy does not fit.
        """
        if self._tensor.is_contiguous():
            return self
        with translated(f"copying {self}", default=ExecutionError):
            return TorchTensor(self._tensor.contiguous())

    def numpy(self) -> npt.NDArray[Any]:
        """Returns the tensor as a NumPy array: the same memory on the CPU, a copy from any other device.

        Raises:
            UnsupportedDTypeError: For ``bf16``, which NumPy lacks.
        """
        _ = self._dtype.numpy_dtype  # refuses bf16 with an error of Inferox
        if self._tensor.device.type == "cpu":
            return self._tensor.numpy()
        with translated(f"giving {self} to NumPy", default=ExecutionError):
            return self._tensor.cpu().numpy()

    def __dlpack__(
        self,
        *,
        stream: Any | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """Exports the memory as a DLPack capsule.

        Args:
            stream: The consumer's stream on a CUDA device, as the array API standard numbers it.
            max_version: The newest DLPack version that the consumer reads.
            dl_device: The device that the consumer wants, in DLPack's numbers.
            copy: Whether to copy: ``None`` if needed, ``False`` never.

        Raises:
            BufferError: If the tensor cannot be exported as asked; the standard demands this type.
        """
        if dl_device not in {None, self.__dlpack_device__(), _DLPACK_CPU}:
            raise BufferError(f"{self} can be exported where it is or to the CPU, but not to DLPack's {dl_device}")
        to_cpu = dl_device == _DLPACK_CPU
        # PyTorch exports from its current CUDA device alone; -1 leaves that as it is.
        with torch.cuda.device(self._tensor.device if self._tensor.is_cuda else -1):
            return self._tensor.__dlpack__(
                stream=stream, max_version=max_version, dl_device=_DLPACK_CPU if to_cpu else None, copy=copy
            )

    def __dlpack_device__(self) -> tuple[int, int]:
        """Returns the device's DLPack type and index."""
        kind, index = self._tensor.__dlpack_device__()
        return int(kind), index


def _fault(tensor: torch.Tensor) -> str | None:
    """Explains why a tensor is not dense memory; ``None`` if it is."""
    if tensor.is_meta:
        return "on the meta device"
    if tensor.is_nested:
        return "nested"
    return None if tensor.layout is torch.strided else str(tensor.layout).removeprefix("torch.")
