"""The parameters of a request that apply to any model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from inferox.core import shown
from inferox.server.call_options import CallOptions
from inferox.server.defaults import OIP
from inferox.server.field_error import FieldError
from inferox.server.oip.datatype import Datatype

PRIORITY_LEVELS = 9
"""The number of priority levels: 1 is the highest, 9 the lowest."""

DEFAULT_PRIORITY = 5
"""The priority of requests that give none, or 0."""

_SECONDS = 1e-6
"""The unit of ``timeout``, in seconds: a microsecond."""

_MAX_TIMEOUT = 2**64 - 1
"""The largest ``timeout``: that of a gRPC parameter."""

_NOT_OFFERED = {
    "sequence_id": "a sequence of requests",
    "sequence_start": "a sequence of requests",
    "sequence_end": "a sequence of requests",
    "shared_memory_region": "shared memory",
    "classification": "classification of outputs",
}
"""Parameters that would change the answer, so that they cannot be ignored as others are."""

_OF_REQUESTS = ("artifact", "output_datatype", "priority", "prompt_name", "timeout", "truncate")
"""Parameters of a whole request, which a single tensor cannot have."""

T = TypeVar("T")


def read_call_options(parameters: Mapping[str, Any], version: str | None) -> CallOptions:
    """Reads the parameters of a request.

    Args:
        parameters: ``priority`` (1 is the highest), ``timeout`` (microseconds), ``prompt_name``, ``artifact`` and
            ``truncate``. Others are ignored, as they may be meant for other servers.
        version: The version that the request names.

    Raises:
        FieldError: If a value is invalid, or requests an unsupported feature.
    """
    refuse_unsupported(parameters)
    priority = read_parameter(parameters, "priority", int) or DEFAULT_PRIORITY
    if not 1 <= priority <= PRIORITY_LEVELS:
        raise FieldError("priority", f"priority must be from 0 to {PRIORITY_LEVELS}, but is {priority}")
    timeout = read_parameter(parameters, "timeout", int)
    if timeout is not None and not 0 <= timeout <= _MAX_TIMEOUT:
        raise FieldError("timeout", f"timeout must be from 0 to {_MAX_TIMEOUT:,} microseconds, but is {shown(timeout)}")
    return CallOptions(
        version=version,
        prompt=read_parameter(parameters, "prompt_name", str),
        artifact=read_parameter(parameters, "artifact", str),
        cut=OIP.cut if (cut := read_parameter(parameters, "truncate", bool)) is None else cut,
        priority=priority - DEFAULT_PRIORITY,
        timeout_s=timeout * _SECONDS if timeout else None,
    )


def read_output_datatype(parameters: Mapping[str, Any]) -> Datatype:
    """Reads the requested datatype of FP32 outputs: FP32, or BF16, which takes half the bytes.

    Args:
        parameters: The parameters of a request; ``output_datatype`` is read.

    Raises:
        FieldError: If it is another datatype.
    """
    name = read_parameter(parameters, "output_datatype", str) or Datatype.FP32
    if name not in {Datatype.FP32, Datatype.BF16}:
        raise FieldError("output_datatype", f"output_datatype must be FP32 or BF16, but is {shown(name)}")
    return Datatype(name)


def refuse_unsupported(parameters: Mapping[str, Any]) -> None:
    """Refuses parameters, of a request or a tensor, that request unsupported features.

    Args:
        parameters: The parameters.

    Raises:
        FieldError: If there is one.
    """
    for name, what in _NOT_OFFERED.items():
        if parameters.get(name):
            raise FieldError(name, f"{name} is {shown(parameters[name])}, but {what} is not supported")


def check_tensor_parameters(parameters: Mapping[str, Any], subject: str) -> None:
    """Refuses parameters of a tensor that request unsupported features, or that belong to the request.

    Args:
        parameters: The parameters.
        subject: The name of the tensor in errors.

    Raises:
        FieldError: If there is one.
    """
    refuse_unsupported(parameters)
    for name in _OF_REQUESTS:
        if parameters.get(name) is not None:
            raise FieldError(name, f"{name} is a parameter of the request, not of {subject} (move it there)")


def read_parameter(parameters: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    """Reads a parameter; ``None`` if it is missing.

    Args:
        parameters: The parameters.
        name: Its name.
        kind: Its type.

    Raises:
        FieldError: If it has another type.
    """
    value = parameters.get(name)
    if value is None:
        return None
    # Booleans are not accepted as integers.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise FieldError(name, f"{name} must be of the type {kind.__name__}, but is {shown(value)}")
    return value
