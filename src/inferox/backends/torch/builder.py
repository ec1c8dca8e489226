"""The builder of PyTorch tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch.utils.dlpack import from_dlpack

from inferox.backends.host import ArrayTensorBuilder
from inferox.backends.torch import device as devices
from inferox.backends.torch import dtype as dtypes
from inferox.backends.torch.errors import translated
from inferox.backends.torch.tensor import TorchTensor
from inferox.core import DataType, DeviceId, ExecutionError


class TorchTensorBuilder(ArrayTensorBuilder[TorchTensor]):
    """Makes PyTorch tensors on one device; on the CPU they share the memory of the arrays from which they are made.

    Args:
        device: The device of the tensors.

    Raises:
        BackendUnavailableError: If this machine has no such device.
    """

    def __init__(self, device: DeviceId) -> None:
        super().__init__(f"torch on {device}", dtypes.supported_dtypes(device))
        self._target = devices.to_torch(device)
        self._device = device

    @property
    def device(self) -> DeviceId:
        """The device on which the tensors are made."""
        return self._device

    def with_device(self, device: DeviceId) -> TorchTensorBuilder:
        """Returns a builder for another device.

        Raises:
            BackendUnavailableError: If this machine has no such device.
        """
        return TorchTensorBuilder(device)

    def _adopt(self, array: npt.NDArray[Any], dtype: DataType) -> TorchTensor:
        with translated("taking over a NumPy array", default=ExecutionError):
            # PyTorch has no negative strides, nor strides that are not a multiple of the element's size.
            shareable = array.flags.writeable and all(s >= 0 and s % array.itemsize == 0 for s in array.strides)
            tensor = torch.from_numpy(array if shareable else array.copy())
            return TorchTensor(tensor.view(dtypes.to_torch(dtype))).to_device(self._device)

    def _take_over(self, source: Any) -> TorchTensor:
        with translated("taking over a tensor through DLPack", default=ExecutionError):
            tensor = from_dlpack(source.detach() if isinstance(source, torch.Tensor) else source)
        return TorchTensor(tensor).to_device(self._device)

    def _fill(self, shape: Sequence[int], dtype: DataType, value: int) -> TorchTensor:
        with translated(f"making a tensor of {list(shape)}", default=ExecutionError):
            return TorchTensor(torch.full(tuple(shape), value, dtype=dtypes.to_torch(dtype), device=self._target))
