"""Elements of tensors as bytes: row-major, contiguous, little-endian."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import counted
from inferox.server.field_error import FieldError
from inferox.server.oip.datatype import Datatype
from inferox.server.oip.wire_tensor import count_elements

_LENGTH = struct.Struct("<I")
"""The length that precedes each BYTES element."""

_BF16_BITS = 16
"""The number of low-order bits of a float32 that BF16 drops."""

_BF16_HALF = 0x7FFF
_QUIET_NAN = 0x0040


def read_binary(datatype: Datatype, shape: Sequence[int], data: memoryview, subject: str) -> npt.NDArray[Any]:
    """Reads the elements of a tensor.

    Args:
        datatype: Their type.
        shape: The shape of the tensor.
        data: The bytes.
        subject: The name of the tensor in errors, such as ``input 'x'``.

    Returns:
        An array of that shape and of the NumPy dtype of ``datatype``: a view of the bytes if possible.

    Raises:
        FieldError: If the bytes are not the elements of such a tensor.
    """
    count = count_elements(shape, subject)
    if datatype is Datatype.BYTES:
        return _read_bytes(count, data, subject).reshape(shape)
    expected_bytes = count * datatype.size_bytes
    if len(data) != expected_bytes:
        raise FieldError(
            "data",
            f"{subject} is {datatype} of the shape {list(shape)}, which takes {expected_bytes:,} bytes, but there are "
            f"{len(data):,}",
        )
    if datatype is Datatype.BF16:
        bits = np.frombuffer(data, "<u2").astype(np.uint32) << _BF16_BITS
        return bits.view(np.float32).reshape(shape)
    if datatype is Datatype.BOOL:
        return _read_bools(data, subject).reshape(shape)
    array = np.frombuffer(data, datatype.numpy_dtype.newbyteorder("<")).astype(datatype.numpy_dtype, copy=False)
    # The data may start at any offset in a body; runtimes want aligned numbers.
    return (array if array.flags.aligned else array.copy()).reshape(shape)


def write_binary(datatype: Datatype, array: npt.NDArray[Any]) -> bytes:
    """Writes the elements of a tensor.

    Args:
        datatype: Their type.
        array: The elements; for BF16, float32 values, which are rounded to nearest.
    """
    if datatype is Datatype.BYTES:
        parts = [part for element in array.flat for part in (_LENGTH.pack(len(element)), element)]
        return b"".join(parts)
    if datatype is Datatype.BF16:
        return _to_bf16(array).tobytes()
    return array.astype(datatype.numpy_dtype.newbyteorder("<"), copy=False).tobytes()


def _read_bytes(count: int, data: memoryview, subject: str) -> npt.NDArray[np.object_]:
    if count * _LENGTH.size > len(data):
        raise FieldError(
            "data",
            f"{subject} has {counted(count, 'element')}, each after its length of {_LENGTH.size} bytes, but there are "
            f"{counted(len(data), 'byte')} in all",
        )
    elements, place = np.empty(count, np.object_), 0
    for index in range(count):
        start = place + _LENGTH.size
        if start > len(data):
            raise FieldError("data", f"{subject} ends before the length of its element {index}")
        (length,) = _LENGTH.unpack_from(data, place)
        place = start + length
        if place > len(data):
            raise FieldError(
                "data",
                f"element {index} of {subject} is said to have {length:,} bytes, but {len(data) - start:,} are left",
            )
        elements[index] = bytes(data[start:place])
    if place != len(data):
        raise FieldError(
            "data", f"{subject} has {counted(len(data) - place, 'byte')} after its {counted(count, 'element')}"
        )
    return elements


def _read_bools(data: memoryview, subject: str) -> npt.NDArray[np.bool_]:
    numbers = np.frombuffer(data, np.uint8)
    if numbers.size and (greatest := int(numbers.max())) > 1:
        raise FieldError("data", f"{subject} is BOOL, whose bytes are 0 or 1, but has a byte of {greatest}")
    return numbers.view(np.bool_)


def _to_bf16(array: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    is_odd = (bits >> _BF16_BITS) & 1
    with np.errstate(over="ignore"):  # only for NaN, which is handled separately
        rounded = (bits + _BF16_HALF + is_odd) >> _BF16_BITS
    quiet = (bits >> _BF16_BITS) | _QUIET_NAN
    return np.where(np.isnan(array), quiet, rounded).astype("<u2")
