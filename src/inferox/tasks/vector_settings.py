"""Settings of vectors that state in which smaller forms they may be returned."""

from __future__ import annotations

from typing import Any

import numpy as np

from inferox.core import DataType, ManifestError, RequestError, shown
from inferox.tasks.number_lists import to_array

VectorRanges = tuple[tuple[float, ...], tuple[float, ...]]
"""The minimum and the maximum of each number of a model's vectors."""


def read_matryoshka_dims(value: Any, field: str) -> tuple[int, ...]:
    """Reads the lengths to which a model was trained to have its vectors cut (Kusupati et al. 2022).

    Args:
        value: A list of lengths, as JSON; ``None`` for none.
        field: The field that it is from, for errors.

    Returns:
        The lengths, ascending, each once.

    Raises:
        ManifestError: If it is not a list of positive integers.
    """
    if value is None:
        return ()
    if not isinstance(value, list) or not all(type(dim) is int and dim > 0 for dim in value):
        raise ManifestError(f"{field!r} must be a list of positive integers, but is {shown(value)}")
    return tuple(sorted(set(value)))


def read_vector_ranges(value: Any, dimension: int) -> VectorRanges | None:
    """Reads the ranges of the numbers of vectors.

    Args:
        value: The minima and the maxima, as JSON; ``None`` for none.
        dimension: The length of the vectors.

    Raises:
        ManifestError: If they are not finite numbers of that shape, or a minimum is greater than its maximum.
    """
    if value is None:
        return None
    try:
        ranges = to_array(value, DataType.F32, "'vector_ranges'")
    except RequestError:
        ranges = np.empty(0, np.float32)
    if ranges.shape != (2, dimension) or not np.isfinite(ranges).all() or (ranges[0] > ranges[1]).any():
        raise ManifestError(f"'vector_ranges' must be {dimension} minima and {dimension} maxima, but is {shown(value)}")
    low, high = ranges.tolist()
    return tuple(low), tuple(high)
