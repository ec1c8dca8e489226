"""Errors in the format of OpenAI's protocol."""

from __future__ import annotations

from msgspec import Struct, json

from inferox.server.failure import Failure
from inferox.server.http_response import HttpResponse
from inferox.server.protocol import ErrorForm


class OpenAIError(Struct, forbid_unknown_fields=True):
    """An error in OpenAI's format.

    Attributes:
        message: The message for a person.
        type: The kind of error.
        param: The field of the request that is to blame.
        code: A short code.
    """

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIErrorBody(Struct, forbid_unknown_fields=True):
    """The body of an error."""

    error: OpenAIError


def write_error(failure: Failure) -> HttpResponse:
    """Writes an error in the format of OpenAI's protocol.

    Args:
        failure: The error to report.
    """
    error = {"message": failure.message, "type": failure.kind, "param": failure.param, "code": failure.code}
    return HttpResponse(json.encode({"error": error}), failure.status, headers=failure.headers)


OPENAI_ERRORS = ErrorForm(write_error, OpenAIErrorBody)
"""The error format of OpenAI's protocol."""
