"""Conversions between NumPy and PyTorch, which is imported only for callers that request or pass tensors."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import RequestError, to_torch


def to_torch_if_installed(array: npt.NDArray[Any]) -> Any:
    """Converts a result that sentence-transformers always returns as a tensor; an array stays if PyTorch is missing.

    Args:
        array: The result.
    """
    return to_torch(array) if has_torch() else array


def has_torch() -> bool:
    """Returns True if PyTorch is installed, without importing it."""
    return find_spec("torch") is not None


def to_floats(values: Any) -> npt.NDArray[np.floating[Any]]:
    """Converts the caller's vectors to an array.

    Args:
        values: An array, a PyTorch tensor, or a list of those or of numbers.

    Returns:
        The numbers, as float32 or a wider type.

    Raises:
        RequestError: If they are not floating-point numbers, or require gradients.
    """
    array = np.stack([_to_array(value) for value in values]) if _is_list(values) else _to_array(values)
    if array.dtype.kind != "f":
        raise RequestError(
            f"only floating-point vectors can be compared, not {array.dtype}",
            hint="encode with precision='float32' to compare, and quantize what is stored",
        )
    return array if array.dtype.itemsize >= 4 else array.astype(np.float32)  # noqa: PLR2004 - bytes of a float32


def _is_list(values: Any) -> bool:
    return isinstance(values, list | tuple) and len(values) > 0


def _to_array(value: Any) -> npt.NDArray[Any]:
    if hasattr(value, "detach"):
        if value.requires_grad:
            raise RequestError("vectors that require gradients cannot be compared", hint="call detach() on them")
        value = value.cpu()
        value = value.float().numpy() if value.is_floating_point() and value.element_size() < 4 else value.numpy()  # noqa: PLR2004
    array = np.asarray(value)
    return array.astype(np.float32) if isinstance(value, list | tuple | float) and array.dtype.kind == "f" else array
