"""Errors as clients that rank read them."""

from __future__ import annotations

from msgspec import Struct, json

from inferox.server.failure import Failure
from inferox.server.http_response import HttpResponse
from inferox.server.openai.error_body import OpenAIError
from inferox.server.protocol import ErrorForm


class RankingErrorBody(Struct, forbid_unknown_fields=True):
    """The body of an error."""

    message: str
    error: OpenAIError


def write_error(failure: Failure) -> HttpResponse:
    """An error as clients that rank read it: ``message`` is Cohere's, ``error`` vLLM's.

    Args:
        failure: What is said of it.
    """
    error = {"message": failure.message, "type": failure.kind, "param": failure.param, "code": failure.code}
    body = json.encode({"message": failure.message, "error": error})
    return HttpResponse(body, failure.status, headers=failure.headers)


RANKING_ERRORS = ErrorForm(write_error, RankingErrorBody)
"""How routes that rank say that something is wrong."""
