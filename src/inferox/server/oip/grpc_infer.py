"""Requests and responses of ``ModelInfer``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import counted, shown
from inferox.engine import Answer
from inferox.server.field_error import FieldError
from inferox.server.oip.answer_parameters import describe_parameters
from inferox.server.oip.binary_data import read_binary, write_binary
from inferox.server.oip.call_parameters import check_tensor_parameters, read_call_options, read_output_datatype
from inferox.server.oip.datatype import Datatype
from inferox.server.oip.grpc_messages import GrpcMessages
from inferox.server.oip.infer_request import InferRequest, add_input
from inferox.server.oip.wire_tensor import WireTensor, count_elements, read_datatype

_FIELDS = {
    Datatype.BOOL: "bool_contents",
    Datatype.INT8: "int_contents",
    Datatype.INT16: "int_contents",
    Datatype.INT32: "int_contents",
    Datatype.INT64: "int64_contents",
    Datatype.UINT8: "uint_contents",
    Datatype.UINT16: "uint_contents",
    Datatype.UINT32: "uint_contents",
    Datatype.UINT64: "uint64_contents",
    Datatype.FP32: "fp32_contents",
    Datatype.FP64: "fp64_contents",
    Datatype.BYTES: "bytes_contents",
}
"""The typed field for each datatype; FP16 and BF16 have none, and are always raw."""


def read_grpc_infer(message: Any) -> InferRequest:
    """Reads a request.

    Args:
        message: A ``ModelInferRequest``.

    Returns:
        The request; it wants its outputs as binary data unless its inputs are typed contents.

    Raises:
        RequestError: If it is invalid.
    """
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise FieldError(
            "raw_input_contents",
            f"raw_input_contents must have an entry for each of the {len(message.inputs)} inputs, but has {len(raw)}",
        )
    parameters = _read_parameters(message.parameters)
    options = read_call_options(parameters, message.model_version or None)
    inputs: dict[str, WireTensor] = {}
    for index, item in enumerate(message.inputs):
        add_input(inputs, _read_input(item, raw[index] if raw else None))
    for item in message.outputs:
        check_tensor_parameters(_read_parameters(item.parameters), f"output {shown(item.name)}")
    is_binary = bool(raw) or not inputs
    outputs = {item.name: is_binary for item in message.outputs} or None
    bf16_output = read_output_datatype(parameters) is Datatype.BF16
    return InferRequest(message.id, inputs, outputs, options, is_binary, bf16_output)


def write_grpc_infer(
    messages: GrpcMessages,
    name: str,
    request: InferRequest,
    answer: Answer,
    outputs: Sequence[tuple[WireTensor, bool]],
) -> Any:
    """Writes a response: raw if the request was, or if an output has no typed contents.

    Args:
        messages: The messages of the protocol.
        name: The model.
        request: The request.
        answer: The answer.
        outputs: The outputs, each with whether it is wanted as binary data.

    Returns:
        A ``ModelInferResponse``.
    """
    response = messages.of("ModelInferResponse")(model_name=name, model_version=answer.version, id=request.id)
    for key, value in describe_parameters(answer).items():
        if isinstance(value, int):
            response.parameters[key].int64_param = value
        else:
            response.parameters[key].string_param = value
    is_raw = any(is_binary or tensor.datatype not in _FIELDS for tensor, is_binary in outputs)
    for tensor, _ in outputs:
        told = response.outputs.add(name=tensor.name, datatype=tensor.datatype.value, shape=tensor.array.shape)
        if is_raw:
            response.raw_output_contents.append(write_binary(tensor.datatype, tensor.array))
        else:
            getattr(told.contents, _FIELDS[tensor.datatype]).extend(tensor.array.reshape(-1).tolist())
    return response


def _read_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    found = ((name, value, value.WhichOneof("parameter_choice")) for name, value in parameters.items())
    return {name: getattr(value, choice) for name, value, choice in found if choice is not None}


def _read_input(item: Any, raw: bytes | None) -> WireTensor:
    subject = f"input {shown(item.name)}"
    check_tensor_parameters(_read_parameters(item.parameters), subject)
    datatype, shape = read_datatype(item.datatype, subject), list(item.shape)
    if raw is None:
        return WireTensor(item.name, datatype, _read_contents(datatype, shape, item.contents, subject))
    if item.HasField("contents"):
        raise FieldError("contents", f"{subject} has both contents and an entry in raw_input_contents")
    return WireTensor(item.name, datatype, read_binary(datatype, shape, memoryview(raw), subject))


def _read_contents(datatype: Datatype, shape: Sequence[int], contents: Any, subject: str) -> npt.NDArray[Any]:
    count = count_elements(shape, subject)
    if datatype not in _FIELDS:
        raise FieldError("contents", f"{subject} is {datatype}, which can only be sent in raw_input_contents")
    name = _FIELDS[datatype]
    if other := [field.name for field, _ in contents.ListFields() if field.name != name]:
        raise FieldError("contents", f"{subject} is {datatype}, whose elements are in {name}, but has {other[0]}")
    elements = getattr(contents, name)
    if len(elements) != count:
        raise FieldError(
            "contents",
            f"{subject} has the shape {list(shape)}, but its contents have {counted(len(elements), 'element')}",
        )
    try:
        return np.array(list(elements), datatype.numpy_dtype).reshape(shape)
    except OverflowError as error:
        raise FieldError("contents", f"{subject} is {datatype}, but has a number out of its range") from error
