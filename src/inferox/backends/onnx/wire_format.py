"""A reader of Protobuf's wire format, so that running models does not need the onnx package."""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""The wire types of fields. The others, groups, were deprecated before ONNX existed."""

_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}
_LONGEST_VARINT = 10
_CONTINUES = 0x80
"""The bit of a byte that states that a number continues."""


class WireFormatError(Exception):
    """The bytes are not a message."""


def read_fields(message: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Reads the fields of a message, one by one.

    Args:
        message: The bytes of the message.

    Yields:
        The number of each field, its wire type, and its value: a number for a varint, otherwise its bytes.

    Raises:
        WireFormatError: If the bytes are not a message.
    """
    place, end = 0, len(message)
    while place < end:
        tag, place = _read_varint(message, place, end)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, place = _read_varint(message, place, end)
            yield number, kind, value
            continue
        if kind == BYTES:
            size, place = _read_varint(message, place, end)
        elif kind in _FIXED_SIZES:
            size = _FIXED_SIZES[kind]
        else:
            raise WireFormatError(f"field {number} has the wire type {kind}")
        if size > end - place:
            raise WireFormatError(f"field {number} is cut off")
        yield number, kind, message[place : place + size]
        place += size


def _read_varint(message: memoryview, place: int, end: int) -> tuple[int, int]:
    if place < end and (byte := message[place]) < _CONTINUES:
        return byte, place + 1  # most numbers fit one byte
    value = 0
    for index, byte in enumerate(message[place : place + _LONGEST_VARINT]):
        value |= (byte & ~_CONTINUES) << (7 * index)
        if not byte & _CONTINUES:
            return value, place + index + 1
    raise WireFormatError("a number is cut off, or longer than 10 bytes")
