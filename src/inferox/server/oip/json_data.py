"""Elements of tensors as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import json

from inferox.core import ExecutionError, counted
from inferox.server.field_error import FieldError
from inferox.server.oip.datatype import Datatype
from inferox.server.oip.wire_tensor import WireTensor, count_elements

_BINARY_ALONE = frozenset({Datatype.FP16, Datatype.BF16})
"""Datatypes that the protocol has only as binary data."""

_WHITESPACE = b" \t\r\n"

_AT_ONCE = 65_536
"""The number of elements written before the event loop may run other tasks."""


def read_json(datatype: Datatype, shape: Sequence[int], data: bytes, subject: str) -> npt.NDArray[Any]:
    """Reads the elements of a tensor: nested lists of its shape, or one flat list.

    Args:
        datatype: Their type.
        shape: The shape of the tensor.
        data: The JSON.
        subject: The name of the tensor in errors, such as ``input 'x'``.

    Returns:
        An array of that shape and of the NumPy dtype of ``datatype``.

    Raises:
        FieldError: If the JSON does not hold the elements of such a tensor.
    """
    count = count_elements(shape, subject)
    if datatype in _BINARY_ALONE:
        raise FieldError("data", f"{subject} is {datatype}, which JSON cannot represent", hint="send it as binary data")
    depth = _depth_of(data)
    if depth not in {1, len(shape)}:
        raise FieldError(
            "data",
            f"{subject} has {counted(len(shape), 'axis', 'axes')}, so its data must be nested as deeply or flat, "
            f"but is nested {depth} deep",
        )
    array = _to_array(datatype, _decode(datatype, data, depth, subject), depth, subject)
    if (array.shape != tuple(shape)) if depth > 1 else (array.size != count):
        raise FieldError("data", f"{subject} has the shape {list(shape)}, but its data has {_describe(array, depth)}")
    return array.reshape(shape)


async def write_json(tensor: WireTensor) -> bytes:
    """Writes the elements of a tensor as one flat list.

    Args:
        tensor: The tensor.

    Raises:
        FieldError: If JSON cannot represent its datatype, or its bytes are not text.
        ExecutionError: If it has NaN or infinite numbers, which JSON cannot represent.
    """
    subject = f"output {tensor.name!r}"
    if tensor.datatype in _BINARY_ALONE:
        raise FieldError(
            "outputs", f"{subject} is {tensor.datatype}, which JSON cannot represent", hint="request it as binary data"
        )
    flat = tensor.array.reshape(-1)
    if tensor.datatype is Datatype.BYTES:
        try:
            return json.encode([element.decode() for element in flat])
        except UnicodeDecodeError:
            raise FieldError("outputs", f"{subject} is not text", hint="request it as binary data") from None
    if tensor.datatype.is_floating and not np.isfinite(flat).all():
        raise ExecutionError(
            f"{subject} has NaN or infinite numbers, which JSON cannot represent", hint="request it as binary data"
        )
    parts = []
    for start in range(0, flat.size, _AT_ONCE):
        if start:
            await asyncio.sleep(0)
        parts.append(json.encode(flat[start : start + _AT_ONCE].tolist())[1:-1])
    return b"[%b]" % b",".join(parts)


def _depth_of(data: bytes) -> int:
    """Returns the nesting depth of the lists around the first element."""
    return data[: len(data) - len(data.lstrip(b"[" + _WHITESPACE))].count(b"[")


@cache
def _decoder(kind: type, depth: int) -> json.Decoder[Any]:
    nested: Any = kind
    for _ in range(depth):
        nested = list[nested]
    return json.Decoder(nested)


def _decode(datatype: Datatype, data: bytes, depth: int, subject: str) -> Any:
    if datatype is Datatype.BYTES:
        kind: type = str
    elif datatype is Datatype.BOOL:
        kind = bool
    else:
        kind = float if datatype.is_floating else int
    try:
        return _decoder(kind, depth).decode(data)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FieldError("data", f"{subject} is {datatype}: {error}") from error


def _to_array(datatype: Datatype, values: Any, depth: int, subject: str) -> npt.NDArray[Any]:
    if datatype is Datatype.BYTES:
        return _to_bytes(values, depth, subject)
    try:
        with np.errstate(over="ignore"):
            array = np.array(values, datatype.numpy_dtype)
    except OverflowError as error:
        raise FieldError("data", f"{subject} is {datatype}, but has a number out of its range") from error
    except ValueError as error:
        raise FieldError("data", f"{subject} has nested lists of different lengths") from error
    if datatype.is_floating and not np.isfinite(array).all():
        raise FieldError("data", f"{subject} is {datatype}, but has a number out of its range")
    return array


def _to_bytes(values: Any, depth: int, subject: str) -> npt.NDArray[np.object_]:
    values, shape = ([values], []) if depth == 0 else (values, [len(values)])
    for _ in range(depth - 1):
        lengths = {len(items) for items in values} or {0}
        if len(lengths) > 1:
            raise FieldError("data", f"{subject} has nested lists of different lengths")
        shape += lengths
        values = [item for items in values for item in items]
    array = np.empty(len(values), np.object_)
    array[:] = [value.encode() for value in values]
    return array.reshape(shape)


def _describe(array: npt.NDArray[Any], depth: int) -> str:
    return counted(array.size, "element") if depth <= 1 else f"the shape {list(array.shape)}"
