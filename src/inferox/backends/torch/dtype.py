"""PyTorch's data types as Inferox's."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from inferox.core import DataType, DeviceId, UnsupportedDTypeError

_TORCH_DTYPES = {
    DataType.F64: torch.float64,
    DataType.F32: torch.float32,
    DataType.F16: torch.float16,
    DataType.BF16: torch.bfloat16,
    DataType.I64: torch.int64,
    DataType.I32: torch.int32,
    DataType.I16: torch.int16,
    DataType.I8: torch.int8,
    DataType.U64: torch.uint64,
    DataType.U32: torch.uint32,
    DataType.U16: torch.uint16,
    DataType.U8: torch.uint8,
    DataType.BOOL: torch.bool,
}

_DATA_TYPES = {torch_dtype: dtype for dtype, torch_dtype in _TORCH_DTYPES.items()}


def to_torch(dtype: DataType) -> torch.dtype:
    """Returns PyTorch's data type. It has all of them."""
    return _TORCH_DTYPES[dtype]


def from_torch(dtype: torch.dtype) -> DataType:
    """Returns Inferox's data type for one of PyTorch's.

    Raises:
        UnsupportedDTypeError: If Inferox lacks it: complex, quantised, or an 8-bit float.
    """
    found = _DATA_TYPES.get(dtype)
    if found is None:
        raise UnsupportedDTypeError(str(dtype).removeprefix("torch."), "inferox", list(DataType))
    return found


def supported_dtypes(device: DeviceId) -> Sequence[DataType]:
    """Lists the data types that tensors can have on a device. Apple's GPUs have no double precision."""
    return [dtype for dtype in DataType if device.kind != "metal" or dtype is not DataType.F64]


def check_dtype(dtype: DataType, device: DeviceId) -> None:
    """Refuses a data type that a device lacks.

    Raises:
        UnsupportedDTypeError: If the device lacks it.
    """
    supported = supported_dtypes(device)
    if dtype not in supported:
        raise UnsupportedDTypeError(dtype, f"torch on {device}", supported)
