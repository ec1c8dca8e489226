"""Errors as OpenAI's clients read them."""

from __future__ import annotations

from msgspec import Struct, json

from inferox.server.failure import Failure
from inferox.server.http_response import HttpResponse
from inferox.server.protocol import ErrorForm


class OpenAIError(Struct, forbid_unknown_fields=True):
    """What is wrong.

    Attributes:
        message: What a person is told.
        type: The kind of error.
        param: The field of the request that is to blame.
        code: A word for it.
    """

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIErrorBody(Struct, forbid_unknown_fields=True):
    """The body of an error."""

    error: OpenAIError


def write_error(failure: Failure) -> HttpResponse:
    """An error as OpenAI's clients read it.

    Args:
        failure: What is said of it.
    """
    error = {"message": failure.message, "type": failure.kind, "param": failure.param, "code": failure.code}
    return HttpResponse(json.encode({"error": error}), failure.status, headers=failure.headers)


OPENAI_ERRORS = ErrorForm(write_error, OpenAIErrorBody)
"""How OpenAI's protocol says that something is wrong."""
