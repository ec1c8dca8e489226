"""Errors in the format of ranking clients."""

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
    """Writes an error for ranking clients: ``message`` for Cohere's, ``error`` for vLLM's.

    Args:
        failure: The error to report.
    """
    error = {"message": failure.message, "type": failure.kind, "param": failure.param, "code": failure.code}
    body = json.encode({"message": failure.message, "error": error})
    return HttpResponse(body, failure.status, headers=failure.headers)


RANKING_ERRORS = ErrorForm(write_error, RankingErrorBody)
"""The error format of the ranking routes."""
