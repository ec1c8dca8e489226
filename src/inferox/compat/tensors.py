"""Between NumPy and PyTorch, which is imported only where a caller asks for tensors or gives some."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import RequestError, to_torch


def to_torch_if_installed(array: npt.NDArray[Any]) -> Any:
    """What sentence-transformers answers with a tensor, whatever it is asked for: an array where PyTorch is missing.

    Args:
        array: The answer.
    """
    return to_torch(array) if has_torch() else array


def has_torch() -> bool:
    """Whether PyTorch is installed. It is not imported for that."""
    return find_spec("torch") is not None


def to_floats(values: Any) -> npt.NDArray[np.floating[Any]]:
    """Reads vectors that a caller holds.

    Args:
        values: An array, a tensor of PyTorch, or a list of those or of numbers.

    Returns:
        The numbers, of at least 32 bits each.

    Raises:
        RequestError: If they are whole numbers, have gradients, or are not numbers.
    """
    array = np.stack([_to_array(value) for value in values]) if _is_list(values) else _to_array(values)
    if array.dtype.kind != "f":
        raise RequestError(
            f"vectors of floating-point numbers are compared, not of {array.dtype}",
            hint="encode with precision='float32' to compare, and quantise what is stored",
        )
    return array if array.dtype.itemsize >= 4 else array.astype(np.float32)  # noqa: PLR2004 - bytes of a float32


def _is_list(values: Any) -> bool:
    return isinstance(values, list | tuple) and len(values) > 0


def _to_array(value: Any) -> npt.NDArray[Any]:
    if hasattr(value, "detach"):
        if value.requires_grad:
            raise RequestError("gradients do not go through the comparison of vectors", hint="call detach() on them")
        value = value.cpu()
        value = value.float().numpy() if value.is_floating_point() and value.element_size() < 4 else value.numpy()  # noqa: PLR2004
    array = np.asarray(value)
    return array.astype(np.float32) if isinstance(value, list | tuple | float) and array.dtype.kind == "f" else array
