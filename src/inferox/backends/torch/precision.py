"""The precisions in which PyTorch computes."""

from __future__ import annotations

import torch

from inferox.backends.torch.device import from_torch
from inferox.backends.torch.dtype import supported_dtypes
from inferox.core import DataType, Precision, UnsupportedDTypeError

_DTYPES = {
    Precision.FP32: torch.float32,
    Precision.BF16: torch.bfloat16,
    Precision.FP16: torch.float16,
}

_NAMES = {Precision.FP32: DataType.F32, Precision.BF16: DataType.BF16, Precision.FP16: DataType.F16}


def compute_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Returns the type of weights and floating-point inputs for computing in a precision.

    A device may store a type with which it cannot compute, so one layer of each relevant kind is tried.

    Args:
        precision: The precision.
        device: The device to compute on.

    Raises:
        UnsupportedDTypeError: If PyTorch cannot compute in it there.
    """
    dtype = _DTYPES.get(precision)
    if dtype is None or (dtype is not torch.float32 and not _can_compute(dtype, device)):
        device_id = from_torch(device)
        lacking = _NAMES.get(precision, precision.value)
        supported = [item for item in supported_dtypes(device_id) if item.is_floating and item is not lacking]
        raise UnsupportedDTypeError(
            lacking, f"torch on {device_id}", supported, hint="ask for another precision, or another device"
        )
    return dtype


def _can_compute(dtype: torch.dtype, device: torch.device) -> bool:
    try:
        rows = torch.ones(1, 2, 2, 4, dtype=dtype, device=device)
        attended = torch.nn.functional.scaled_dot_product_attention(rows, rows, rows)
        normed = torch.nn.functional.layer_norm(attended, (4,))
        product = torch.nn.functional.linear(normed, rows[0, 0]) + torch.nn.functional.conv2d(normed, rows)
        return bool(torch.isfinite(product).all())
    except (RuntimeError, NotImplementedError):
        return False
