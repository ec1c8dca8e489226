"""Arrays that reveal whether every bit survives."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import DataType

NUMPY_DTYPES = tuple(dtype for dtype in DataType if dtype is not DataType.BF16)
"""The data types that NumPy supports."""

Array = npt.NDArray[Any]


def random_bits(dtype: DataType, shape: tuple[int, ...]) -> Array:
    """Makes an array of random bits: for floating-point types, this includes NaNs with all payloads.

    Args:
        dtype: One of NumPy's.
        shape: The extent of each axis.
    """
    random = np.random.default_rng(len(shape))
    if dtype is DataType.BOOL:
        return random.integers(0, 2, shape).astype(bool)
    return random.integers(0, 256, (*shape[:-1], shape[-1] * dtype.size), dtype=np.uint8).view(dtype.numpy_dtype)


def special_values(dtype: DataType) -> Array:
    """Makes an array of the values that conversions lose: extremes, infinities, signed zeros, subnormals, NaN payloads.

    Args:
        dtype: One of NumPy's.
    """
    if dtype is DataType.BOOL:
        return np.array([True, False])
    if not dtype.is_floating:
        limits = np.iinfo(dtype.numpy_dtype)
        return np.array([limits.min, limits.max, 0, 1], dtype.numpy_dtype)
    limit = np.finfo(dtype.numpy_dtype)
    numbers = [np.inf, -np.inf, 0.0, -0.0, limit.smallest_subnormal, limit.max, limit.min, np.nan]
    nans = np.full(2, np.nan, dtype.numpy_dtype)
    bits = nans.view(f"u{dtype.size}")
    bits[0] ^= 5  # a payload
    bits[1] |= 1 << (8 * dtype.size - 1)  # a sign
    return np.concatenate([np.array(numbers, dtype.numpy_dtype), nans])


def layouts(array: Array) -> dict[str, Array]:
    """Returns the same kind of array in every memory layout that NumPy has.

    Args:
        array: An array of two axes with at least four elements on each.
    """
    unaligned = np.empty(array.nbytes + 1, np.uint8)[1:]
    unaligned[:] = np.frombuffer(array.tobytes(), np.uint8)
    return {
        "row-major": array,
        "column-major": np.asfortranarray(array),
        "transposed": array.T,
        "with gaps": array[::2, 1::2],
        "backwards": array[::-1, ::-1],
        "broadcast": np.broadcast_to(array[:1], array.shape),
        "unaligned": unaligned.view(array.dtype).reshape(array.shape),
        "scalar": array[1, 2].reshape(()),
        "empty": array[:0],
    }
