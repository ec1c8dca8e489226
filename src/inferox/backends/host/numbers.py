"""Conversion of numbers to arrays of a data type, exactly or, for floating-point types, with a single rounding."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.backends.host.rounding import to_bf16_bits
from inferox.core import DataType, DTypeMismatchError

_PRINTED_BITS = 128

_INTEGERS = int | np.integer | np.bool
_FLOATS = float | np.floating


def hold_numbers(values: Sequence[Any], dtype: DataType) -> npt.NDArray[Any]:
    """Converts Python or NumPy numbers to an array of a data type.

    Args:
        values: The numbers.
        dtype: The data type. Floating-point types round to the nearest value; every other type accepts only values that
            it can represent exactly.

    Returns:
        A one-dimensional array; for ``bf16``, its bits as int16.

    Raises:
        DTypeMismatchError: If a value is not a number, is a fraction, NaN or out of range for an integer type, or is
            finite and beyond the range of a floating-point type.
    """
    if not dtype.is_floating:
        return np.array(_whole_numbers(values, dtype), dtype.numpy_dtype)
    wide = np.array(_real_numbers(values, dtype), np.float64)
    narrow = _narrow(wide, dtype)
    infinite = narrow & 0x7FFF == 0x7F80 if dtype is DataType.BF16 else np.isinf(narrow)  # noqa: PLR2004 - bits of bf16
    overflowed = np.flatnonzero(infinite & np.isfinite(wide))
    if len(overflowed):
        raise _unrepresentable(values, int(overflowed[0]), dtype)
    return narrow


def draw_normal(count: int, dtype: DataType, seed: int) -> npt.NDArray[Any]:
    """Draws from the standard normal distribution, in ``f64`` and rounded once.

    Args:
        count: The number of samples.
        dtype: A floating-point type.
        seed: The random seed.

    Returns:
        A one-dimensional array; for ``bf16``, its bits as int16.
    """
    return _narrow(np.random.default_rng(seed).standard_normal(count), dtype)


def _narrow(wide: npt.NDArray[np.float64], dtype: DataType) -> npt.NDArray[Any]:
    if dtype is DataType.BF16:
        return to_bf16_bits(wide)
    with np.errstate(over="ignore", invalid="ignore"):
        return wide.astype(dtype.numpy_dtype, copy=False)


def _whole_numbers(values: Sequence[Any], dtype: DataType) -> list[int]:
    """Converts the values to integers that the data type can represent."""
    bounds = range(2) if dtype is DataType.BOOL else _bounds(dtype)
    numbers = []
    for position, value in enumerate(values):
        whole = isinstance(value, _INTEGERS) or (isinstance(value, _FLOATS) and float(value).is_integer())
        if not whole or int(value) not in bounds:
            raise _unrepresentable(values, position, dtype)
        numbers.append(int(value))
    return numbers


def _bounds(dtype: DataType) -> range:
    limits = np.iinfo(dtype.numpy_dtype)
    return range(int(limits.min), int(limits.max) + 1)


def _real_numbers(values: Sequence[Any], dtype: DataType) -> list[float]:
    """Converts the values to double precision."""
    numbers = []
    for position, value in enumerate(values):
        # NumPy would parse numbers from texts, treat None as NaN, and unpack lists.
        if not isinstance(value, _INTEGERS | _FLOATS):
            raise _unrepresentable(values, position, dtype)
        try:
            numbers.append(float(value))
        except OverflowError:
            raise _unrepresentable(values, position, dtype) from None
    return numbers


def _unrepresentable(values: Sequence[Any], position: int, dtype: DataType) -> DTypeMismatchError:
    value = values[position]
    # Python refuses to print an integer of several thousand digits.
    huge = isinstance(value, int) and value.bit_length() > _PRINTED_BITS
    shown = f"an integer of {value.bit_length()} bits" if huge else f"the value {reprlib.repr(value)}"
    return DTypeMismatchError(f"value {position}", dtype, shown)
