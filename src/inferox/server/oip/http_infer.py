"""Requests and responses of ``POST …/infer``: JSON, followed by the tensors sent as binary data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod
from typing import Any

import msgspec
from msgspec import Struct, json

from inferox.core import counted, shown
from inferox.engine import Answer
from inferox.server.answer_headers import describe
from inferox.server.field_error import FieldError
from inferox.server.http_response import HttpResponse
from inferox.server.json_body import JsonBody
from inferox.server.oip.answer_parameters import describe_parameters
from inferox.server.oip.binary_data import read_binary, write_binary
from inferox.server.oip.call_parameters import (
    check_tensor_parameters,
    read_call_options,
    read_output_datatype,
    read_parameter,
)
from inferox.server.oip.datatype import Datatype
from inferox.server.oip.exposed_tensor import ANY, ExposedTensor
from inferox.server.oip.exposure import Exposure
from inferox.server.oip.infer_request import InferRequest, add_input
from inferox.server.oip.json_data import read_json, write_json
from inferox.server.oip.wire_tensor import WireTensor, read_datatype

HEADER_LENGTH = "inference-header-content-length"
"""The header with the length of the JSON before binary data; 0 if there is no JSON at all."""

_LENGTH = re.compile(r"[0-9]{1,18}")


class InferInput(Struct):
    """An input tensor of a request."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class InferOutput(Struct):
    """A requested output."""

    name: str
    parameters: dict[str, Any] | None = None


class InferBody(Struct):
    """The body of a request, or the JSON before its binary data."""

    inputs: list[InferInput]
    outputs: list[InferOutput] | None = None
    id: str | None = None
    parameters: dict[str, Any] | None = None


_REQUEST = JsonBody(InferBody)


def read_infer(body: bytes, header_length: str | None, exposure: Exposure, version: str | None) -> InferRequest:
    """Reads a request.

    Args:
        body: The body.
        header_length: The value of ``HEADER_LENGTH``; ``None`` if the whole body is JSON.
        exposure: The exposure of the model.
        version: The version that the request names.

    Raises:
        RequestError: If it is invalid.
    """
    if header_length is None:
        return _read(body, memoryview(b""), version)
    size = int(header_length) if _LENGTH.fullmatch(header_length) else -1
    if not 0 <= size <= len(body):
        raise FieldError(
            HEADER_LENGTH,
            f"{HEADER_LENGTH} must be a number of bytes, at most the {len(body):,} of the body, but is "
            f"{shown(header_length)}",
        )
    if size == 0:
        return _read_raw(body, exposure.inputs, version, has_batch=bool(exposure.max_batch))
    return _read(body[:size], memoryview(body)[size:], version)


async def write_infer(
    name: str, request: InferRequest, answer: Answer, outputs: Sequence[tuple[WireTensor, bool]]
) -> HttpResponse:
    """Writes a response.

    Args:
        name: The model.
        request: The request.
        answer: The answer.
        outputs: The outputs, each with whether it is wanted as binary data.

    Raises:
        InferoxError: If JSON cannot represent an output that is not wanted as binary data.
    """
    binary: list[bytes] = []
    written: list[bytes] = []
    for tensor, is_binary in outputs:
        told = {"name": tensor.name, "datatype": tensor.datatype.value, "shape": list(tensor.array.shape)}
        if is_binary:
            binary.append(write_binary(tensor.datatype, tensor.array))
            written.append(json.encode({**told, "parameters": {"binary_data_size": len(binary[-1])}}))
        else:
            written.append(b'%b,"data":%b}' % (json.encode(told)[:-1], await write_json(tensor)))
    head = {
        **({"id": request.id} if request.id else {}),
        "model_name": name,
        "model_version": answer.version,
        "parameters": describe_parameters(answer),
    }
    text = b'%b,"outputs":[%b]}' % (json.encode(head)[:-1], b",".join(written))
    headers = describe(answer)
    if not binary:
        return HttpResponse(text, headers=headers)
    headers[HEADER_LENGTH] = str(len(text))
    return HttpResponse(b"".join([text, *binary]), content_type="application/octet-stream", headers=headers)


def _read(text: bytes, binary: memoryview, version: str | None) -> InferRequest:
    asked = _REQUEST.read(text)
    parameters = asked.parameters or {}
    options = read_call_options(parameters, version)
    inputs: dict[str, WireTensor] = {}
    for item in asked.inputs:
        tensor, binary = _read_input(item, binary)
        add_input(inputs, tensor)
    if binary:
        raise FieldError("inputs", f"the binary data is {counted(len(binary), 'byte')} longer than the inputs")
    binary_output = read_parameter(parameters, "binary_data_output", bool) or False
    outputs = {item.name: _is_binary(item, default=binary_output) for item in asked.outputs or ()} or None
    bf16_output = read_output_datatype(parameters) is Datatype.BF16
    return InferRequest(asked.id or "", inputs, outputs, options, binary_output, bf16_output)


def _read_input(item: InferInput, binary: memoryview) -> tuple[WireTensor, memoryview]:
    """Reads an input, and returns it with the rest of the binary data."""
    subject = f"input {shown(item.name)}"
    parameters = item.parameters or {}
    check_tensor_parameters(parameters, subject)
    datatype = read_datatype(item.datatype, subject)
    size = read_parameter(parameters, "binary_data_size", int)
    data = b"null" if item.data is msgspec.UNSET else bytes(item.data)
    if size is None:
        if data == b"null":
            raise FieldError("data", f"{subject} has neither data nor the parameter binary_data_size")
        return WireTensor(item.name, datatype, read_json(datatype, item.shape, data, subject)), binary
    if data != b"null":
        raise FieldError("data", f"{subject} has both data and the parameter binary_data_size")
    if not 0 <= size <= len(binary):
        raise FieldError(
            "binary_data_size",
            f"{subject} has {counted(size, 'byte')} of binary data, but {len(binary):,} are left in the body",
        )
    array = read_binary(datatype, item.shape, binary[:size], subject)
    return WireTensor(item.name, datatype, array), binary[size:]


def _is_binary(output: InferOutput, *, default: bool) -> bool:
    parameters = output.parameters or {}
    check_tensor_parameters(parameters, f"output {shown(output.name)}")
    asked = read_parameter(parameters, "binary_data", bool)
    return default if asked is None else asked


def _read_raw(body: bytes, inputs: Sequence[ExposedTensor], version: str | None, *, has_batch: bool) -> InferRequest:
    """Reads a body that is a model's only input: one row, whose variable extent follows from the size."""
    needed = [item for item in inputs if not item.is_optional]
    if len(needed) != 1:
        names = ", ".join(item.name for item in needed)
        raise FieldError(HEADER_LENGTH, f"a body without JSON can be one input, but the model needs {names}")
    (item,) = needed
    shape = [1, *item.shape[1:]] if has_batch else list(item.shape)
    content = memoryview(body)
    if item.datatype is Datatype.BYTES:
        content = memoryview(len(body).to_bytes(4, "little") + body)
    elif shape.count(ANY) == 1:
        row_bytes = prod(extent for extent in shape if extent != ANY) * item.datatype.size_bytes
        shape[shape.index(ANY)] = len(body) // row_bytes if row_bytes else 0
    subject = f"input {item.name!r}"
    if ANY in shape:
        raise FieldError(HEADER_LENGTH, f"{subject} of the shape {list(item.shape)} needs JSON with its extents")
    array = read_binary(item.datatype, shape, content, subject)
    tensor = WireTensor(item.name, item.datatype, array)
    return InferRequest("", {item.name: tensor}, None, read_call_options({}, version), binary_output=True)
