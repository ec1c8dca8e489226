"""Conversion of JSON numbers to arrays of a given data type."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import DataType, DTypeMismatchError, RequestError


def to_array(value: Any, dtype: DataType, subject: str) -> npt.NDArray[Any]:
    """Returns an array unchanged, and converts nested lists to one.

    Args:
        value: An array, which must have the data type; or a number or nested lists of numbers, which are converted.
        dtype: The data type.
        subject: The name of the value in messages, such as ``input 'x' of call 0``.

    Raises:
        DTypeMismatchError: If an array has another data type.
        RequestError: If it is a masked array, or lists differ in length or hold anything that the data type cannot:
            text, a fraction or a number out of range for an integer type, or anything but true and false for the
            boolean type.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise RequestError(
            f"{subject} is a masked array, and tensors have no masked elements", hint="fill them: array.filled(...)"
        )
    if isinstance(value, np.ndarray):
        if value.dtype != dtype.numpy_dtype:
            raise DTypeMismatchError(subject, dtype, value.dtype.name)
        return value
    for number in _leaves(value):
        if not _fits(number, dtype):
            raise RequestError(f"{subject} has {number!r}, which {dtype} cannot hold")
    try:
        array = np.array(value, dtype=dtype.numpy_dtype)
    except (ValueError, OverflowError) as error:
        raise RequestError(f"{subject} must be nested lists of equal lengths") from error
    return array


def _is_held(number: int, dtype: DataType) -> bool:
    try:
        with np.errstate(over="ignore"):
            held = float(dtype.numpy_dtype.type(number))
    except OverflowError:
        return False
    return math.isfinite(held) and int(held) == number


def _leaves(value: Any) -> Iterator[Any]:
    """Yields every item of nested lists that is not itself a list, without recursion: JSON may be nested deeply."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list | tuple):
            waiting.extend(reversed(item))
        else:
            yield item


def _fits(number: Any, dtype: DataType) -> bool:
    if dtype is DataType.BOOL or isinstance(number, bool):
        return dtype is DataType.BOOL and isinstance(number, bool)
    if not isinstance(number, int | float):
        return False
    if dtype.is_floating:
        # NaN and infinities are kept; a finite number must not become infinite, nor an integer another one.
        if isinstance(number, int):
            return abs(number) <= 2 ** (np.finfo(dtype.numpy_dtype).nmant + 1) or _is_held(number, dtype)
        infinite = isinstance(number, float) and not math.isfinite(number)
        return infinite or abs(number) <= float(np.finfo(dtype.numpy_dtype).max)
    limits = np.iinfo(dtype.numpy_dtype)
    return number == number // 1 and limits.min <= number <= limits.max
