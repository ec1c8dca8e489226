"""Quantized vectors, for sentence-transformers' ``precision``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import ConfigError, InferoxWarning, RequestError, counted, dtype_name, warn_user
from inferox.tasks import VectorForm

PRECISIONS = ("float32", "int8", "uint8", "binary", "ubinary")

_LEVELS = 255
_FEW = 100


def quantise(vectors: npt.NDArray[np.float32], precision: str) -> npt.NDArray[Any]:
    """Converts vectors to a precision.

    For ``int8`` and ``uint8`` each dimension's range over these vectors is divided into 256 steps, so that the result
    for a vector depends on the others of the call. ``TaskModel.embed(dtype="int8")`` has no such dependence.

    Args:
        vectors: Shape ``[n, dimension]``, float32; several for ``int8`` and ``uint8``.
        precision: One of ``PRECISIONS``.

    Returns:
        The vectors; shape ``[n, dimension]``, or for ``binary`` and ``ubinary`` ``[n, dimension / 8]``, rounded up.
    """
    if not precision.endswith("int8"):
        return VectorForm(dtype=precision).apply(vectors)
    if len(vectors) < _FEW:
        number = counted(len(vectors), "vector")
        warn_user(InferoxWarning(f"{precision} uses the ranges of these {number}, which differ in the next call"))
    lowest = vectors.min(axis=0)
    steps = (vectors.max(axis=0) - lowest) / np.float32(_LEVELS)
    steps[steps == 0] = 1
    levels = np.clip(np.floor((vectors - lowest) / steps), 0, _LEVELS)
    formed: npt.NDArray[Any] = levels.astype(np.uint8) if precision == "uint8" else (levels - 128).astype(np.int8)
    return formed


def read_vector_precision(precision: Any, count: int) -> str:
    """Returns the name of the precision that a caller requests for vectors.

    Args:
        precision: One of ``PRECISIONS``, or such a data type of NumPy or PyTorch; ``None`` stands for ``float32``.
        count: The number of vectors.

    Raises:
        ConfigError: If there is no such precision.
        RequestError: If ``int8`` or ``uint8`` is requested for a single vector.
    """
    if precision is None:
        return "float32"
    name = dtype_name(precision)
    if name not in PRECISIONS:
        raise ConfigError(f"precision must be one of {', '.join(PRECISIONS)}, but is {precision!r}")
    if name.endswith("int8") and count == 1:
        raise RequestError(
            f"{name} needs the range of several vectors, but there is only one",
            hint="encode several texts in one call, or use inferox.load(…).embed(dtype='int8'), which needs no range",
        )
    return name
