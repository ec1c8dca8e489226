"""Tensors as the Open Inference Protocol sends them: JSON that names them, and after it their elements."""

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
"""The header that says how long the JSON is."""

_LENGTH = struct.Struct("<I")
"""What stands before each element of BYTES: its length."""

_BYTES = "BYTES"

_BF16 = "BF16"
_BF16_BITS = 16
"""By how many bits a float32 is longer than a BF16, whose bits are its first ones."""

_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
}
"""The data types of fixed size, but for BF16, which NumPy has only with ml_dtypes."""

_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def write_request(
    inputs: Mapping[str, npt.ArrayLike], outputs: Sequence[str], parameters: Mapping[str, Any]
) -> tuple[bytes, int]:
    """Writes a request.

    Args:
        inputs: The tensors by name: arrays of numbers, those of ml_dtypes' bfloat16 among them, or of texts or bytes.
        outputs: The outputs that are wanted; all where there are none.
        parameters: What the request says beside them.

    Returns:
        The body, and how long the JSON at its beginning is.

    Raises:
        RequestError: If an input has a type that the protocol lacks.
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
        raise RequestError(f"the parameters must be values that JSON has: {error}") from error
    return b"".join([text, *binary]), len(text)


def read_answer(body: bytes, header_length: str | None) -> tuple[dict[str, npt.NDArray[Any]], Mapping[str, Any]]:
    """Reads an answer.

    Args:
        body: Its body.
        header_length: What its header says of how long the JSON is; ``None`` where all of it is JSON.

    Returns:
        The outputs by name, each read-only, and the JSON. What was sent as BF16 is float32, of the same numbers.

    Raises:
        ResponseError: If it is not an answer of the protocol.
    """
    with reading("the server's answer"):
        size = len(body) if header_length is None else int(header_length)
        if not 0 <= size <= len(body):
            raise ValueError(f"{HEADER_LENGTH} is {size}, and there are {counted(len(body), 'byte')}")
        head = parse_json(body[:size], "its JSON")
        tensors: dict[str, npt.NDArray[Any]] = {}
        place = size
        for item in Fields(head, "its JSON").map("outputs", lambda item: Fields(item, "an output")):
            name = item.required("name", str)
            after = place + Fields(item.required("parameters", dict), "parameters").count("binary_data_size")
            if name in tensors or after > len(body):
                raise ValueError(f"the output {shown(name)} is there twice, or longer than the answer")
            tensors[name] = _read_tensor(item, memoryview(body)[place:after])
            place = after
        if place != len(body):
            raise ValueError(f"{counted(len(body) - place, 'byte')} of no output")
    return tensors, head


def to_bytes_array(rows: Sequence[bytes]) -> npt.NDArray[np.object_]:
    """Bytes as a tensor of BYTES.

    Args:
        rows: The element of each row.
    """
    array = np.empty(len(rows), np.object_)
    array[:] = rows
    return array


def _write_tensor(name: str, given: npt.ArrayLike) -> tuple[str, list[int], bytes]:
    # NumPy's own arrays of texts would lose zeros at the end of an element.
    try:
        array = np.array(given, np.object_) if _holds_texts(given) else np.asarray(given)
    except (
        ValueError,
        TypeError,
        RuntimeError,
        OverflowError,
    ) as error:  # what objects say that make arrays of themselves
        raise RequestError(
            f"input {name!r} must be an array, or a list of numbers, texts or bytes: {first_line(error)}",
            hint="the lists in a list are of one length",
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
    """Whether a list, perhaps of lists, begins with a text or bytes; a single one counts, too."""
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
