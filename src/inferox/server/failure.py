"""The one table from errors to HTTP statuses and messages."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from inferox.core import (
    DeadlineExceededError,
    ExecutionError,
    InferoxError,
    InputTooLongError,
    ModelNotFoundError,
    OverloadedError,
    RequestError,
    ShuttingDownError,
)
from inferox.server.field_error import FieldError
from inferox.server.http_error import HttpError

INTERNAL = 500

GRPC_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    INTERNAL: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""gRPC's name for each status that an error can have over gRPC."""

_JITTER = 0.5
"""The share by which retry delays are spread, so that clients do not all come back at once."""


@dataclass(frozen=True)
class _Row:
    status: int
    kind: str
    code: str | None = None
    param: str | None = None


_TABLE: tuple[tuple[type[InferoxError], _Row], ...] = (
    (ModelNotFoundError, _Row(404, "invalid_request_error", "model_not_found", "model")),
    (InputTooLongError, _Row(400, "invalid_request_error", "context_length_exceeded", "input")),
    (RequestError, _Row(400, "invalid_request_error")),
    (OverloadedError, _Row(429, "rate_limit_error", "overloaded")),
    (DeadlineExceededError, _Row(504, "timeout_error", "deadline_exceeded")),
    (ShuttingDownError, _Row(503, "server_error", "shutting_down")),
)
"""The first row whose class an error is an instance of applies; without one, the status is 500."""

_UNKNOWN = _Row(INTERNAL, "server_error", "internal_error")

_NOT_AGAIN = {"x-should-retry": "false"}
"""Headers that keep OpenAI's client from retrying what would fail again."""


@dataclass(frozen=True)
class Failure:
    """A report of an error, whatever the protocol.

    Attributes:
        status: The HTTP status.
        kind: The kind of error.
        code: A short code; ``None`` if the kind says it all.
        message: The message for a person.
        param: The field of the request that is to blame; ``None`` if unknown.
        headers: Headers of the response.
        error: The error that Inferox's own client is to raise.
    """

    status: int
    kind: str
    code: str | None
    message: str
    error: InferoxError
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def read_failure(error: Exception, request_id: str) -> Failure:
    """Returns the report of an error. The cause of an internal failure is told only to the operator, in the log.

    Args:
        error: The error.
        request_id: The id under which the operator finds it in the log.
    """
    if isinstance(error, HttpError):
        return Failure(error.status, "invalid_request_error", error.code, error.message, error, None, error.headers)
    row = next((row for kind, row in _TABLE if isinstance(error, kind)), _UNKNOWN)
    if not isinstance(error, InferoxError) or row is _UNKNOWN:
        item = getattr(error, "item", None)
        what = "the request" if item is None else f"input {item}"
        message = f"the model failed to compute {what}; the server's log says why, under {request_id}"
        told = ExecutionError(message)
        if item is not None:
            told.naming_item(item, "input {}")
        return Failure(row.status, row.kind, row.code, message, told, None, _NOT_AGAIN)
    if isinstance(error, FieldError):
        return Failure(row.status, row.kind, error.code, str(error), error, error.field)
    return Failure(row.status, row.kind, row.code, str(error), error, row.param, _headers_of(error))


def _headers_of(error: InferoxError) -> Mapping[str, str]:
    if isinstance(error, ShuttingDownError):
        return _retry_after(1.0)
    if isinstance(error, OverloadedError):
        return _retry_after(error.retry_after_s or 1.0)
    return _NOT_AGAIN if isinstance(error, DeadlineExceededError) else {}


def _retry_after(seconds: float) -> Mapping[str, str]:
    spread_s = seconds * (1 + _JITTER * random.random())  # noqa: S311 - no secret
    return {"retry-after": str(math.ceil(seconds)), "retry-after-ms": str(math.ceil(1000 * spread_s))}
