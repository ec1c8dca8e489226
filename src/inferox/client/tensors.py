"""Tensors of the Open Inference Protocol: JSON that describes them, followed by their elements."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.client.answer_border import reading
from inferox.core import Fields, RequestError, counted, first_line, parse_json, shown

HEADER_LENGTH = "inference-header-content-length"
"""The header with the length of the JSON."""

_LENGTH = struct.Struct("<I")
"""The length that precedes each BYTES element."""

_BYTES = "BYTES"

_BF16 = "BF16"
_BF16_BITS = 16
"""The number of low-order bits of a float32 that BF16 drops."""

_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
}
"""The datatypes of fixed size, except BF16, which NumPy has only with ml_dtypes."""

_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def write_request(
    inputs: Mapping[str, npt.ArrayLike], outputs: Sequence[str], parameters: Mapping[str, Any]
) -> tuple[bytes, int]:
    """Writes a request.

    Args:
        inputs: The tensors, by name: arrays of numbers, including ml_dtypes' bfloat16, or of texts or bytes.
        outputs: The names of the requested outputs; empty for all.
        parameters: The parameters of the request.

    Returns:
        The body, and the length of the JSON at its beginning.

    Raises:
        RequestError: If an input has a dtype that the protocol lacks, or a parameter is not a JSON value.
    """
    described, binary = [], []
    for name, given in inputs.items():
        datatype, shape, data = _write_tensor(name, given)
        size = {"binary_data_size": len(data)}
        described.append({"name": name, "datatype": datatype, "shape": shape, "parameters": size})
        binary.append(data)
    head: dict[str, Any] = {"inputs": described, "parameters": {**parameters, "binary_data_output": True}}
    if outputs:
        head["outputs"] = [{"name": name} for name in outputs]
    try:
        text = json.dumps(head, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(f"the parameters must be JSON values: {error}") from error
    return b"".join([text, *binary]), len(text)


def read_answer(body: bytes, header_length: str | None) -> tuple[dict[str, npt.NDArray[Any]], Mapping[str, Any]]:
    """Reads a response.

    Args:
        body: The body.
        header_length: The length of the JSON according to the header; ``None`` if the whole body is JSON.

    Returns:
        The outputs by name, read-only except for BYTES, and the JSON. BF16 tensors are converted to float32, which is
        exact.

    Raises:
        ResponseError: If it is not a response of the protocol.
    """
    with reading("the server's answer"):
        size = len(body) if header_length is None else int(header_length)
        if not 0 <= size <= len(body):
            raise ValueError(f"{HEADER_LENGTH} is {size}, but there are {counted(len(body), 'byte')}")
        head = parse_json(body[:size], "its JSON")
        tensors: dict[str, npt.NDArray[Any]] = {}
        place = size
        for item in Fields(head, "its JSON").map("outputs", lambda item: Fields(item, "an output")):
            name = item.required("name", str)
            after = place + Fields(item.required("parameters", dict), "parameters").count("binary_data_size")
            if name in tensors or after > len(body):
                raise ValueError(f"the output {shown(name)} occurs twice, or is longer than the answer")
            tensors[name] = _read_tensor(item, memoryview(body)[place:after])
            place = after
        if place != len(body):
            raise ValueError(f"{counted(len(body) - place, 'byte')} after the last output")
    return tensors, head


def to_bytes_array(rows: Sequence[bytes]) -> npt.NDArray[np.object_]:
    """Returns rows of bytes as the array of a BYTES tensor.

    Args:
        rows: The element of each row.
    """
    array = np.empty(len(rows), np.object_)
    array[:] = rows
    return array


def _write_tensor(name: str, given: npt.ArrayLike) -> tuple[str, list[int], bytes]:
    # NumPy's own string arrays would lose trailing zeros of an element.
    try:
        array = np.array(given, np.object_) if _holds_texts(given) else np.asarray(given)
    except (
        ValueError,
        TypeError,
        RuntimeError,
        OverflowError,
    ) as error:  # raised by objects that convert themselves to arrays
        raise RequestError(
            f"input {name!r} must be an array, or a list of numbers, texts or bytes: {first_line(error)}",
            hint="nested lists must have equal lengths",
        ) from error
    if array.dtype.kind in "OSU":
        elements = [_encode(name, element) for element in array.flat]
        data = b"".join(part for element in elements for part in (_LENGTH.pack(len(element)), element))
        return _BYTES, list(array.shape), data
    if array.dtype.name == "bfloat16":
        return _BF16, list(array.shape), array.tobytes()
    wanted = array.dtype.newbyteorder("<")
    if wanted not in _NAMES:
        raise RequestError(f"input {name!r} has the data type {array.dtype}, which the protocol lacks")
    return _NAMES[wanted], list(array.shape), array.astype(wanted, copy=False).tobytes()


def _holds_texts(given: Any) -> bool:
    """Returns True for a text or bytes, or a (nested) list that begins with one."""
    while isinstance(given, list | tuple) and given:
        given = given[0]
    return isinstance(given, str | bytes)


def _encode(name: str, element: Any) -> bytes:
    if isinstance(element, bytes):
        return element
    if not isinstance(element, str):
        raise RequestError(f"input {name!r} must hold texts or bytes, but has a {type(element).__name__}")
    try:
        return element.encode()
    except UnicodeEncodeError as error:
        raise RequestError(f"input {name!r} has a text with a lone surrogate: {error.reason}") from error


def _read_tensor(item: Fields, data: memoryview) -> npt.NDArray[Any]:
    datatype, shape = item.required("datatype", str), item.required("shape", list)
    if not all(type(dim) is int and dim >= 0 for dim in shape):
        raise ValueError(f"an output has the shape {shown(shape)}")
    if datatype == _BYTES:
        elements = _read_elements(prod(shape), data)
        return to_bytes_array(elements).reshape(shape)
    if datatype == _BF16:
        bits = np.frombuffer(data, "<u2").astype(np.uint32) << _BF16_BITS
        widened = bits.view(np.float32).reshape(shape)
        widened.flags.writeable = False  # as the others are
        return widened
    if datatype not in _DTYPES:
        raise ValueError(f"an output has the data type {shown(datatype)}")
    array = np.frombuffer(data, _DTYPES[datatype]).reshape(shape)
    if datatype == "BOOL" and array.view(np.uint8).max(initial=0) > 1:
        raise ValueError("an output of BOOL has bytes other than 0 and 1")
    return array


def _read_elements(count: int, data: memoryview) -> list[bytes]:
    elements, place = [], 0
    for _ in range(count):
        (length,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size
        if place + length > len(data):
            raise ValueError("an element is longer than its tensor")
        elements.append(bytes(data[place : place + length]))
        place += length
    if place != len(data):
        raise ValueError("a tensor has more bytes than its elements")
    return elements
