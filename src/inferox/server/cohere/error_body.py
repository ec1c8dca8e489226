"""Errors in the format of Cohere's protocol."""

from __future__ import annotations

from msgspec import Struct, json

from inferox.server.failure import Failure
from inferox.server.http_response import HttpResponse
from inferox.server.protocol import ErrorForm


class CohereErrorBody(Struct, forbid_unknown_fields=True):
    """The body of an error."""

    message: str


def write_error(failure: Failure) -> HttpResponse:
    """Writes an error in the format of Cohere's protocol.

    Args:
        failure: The error to report.
    """
    return HttpResponse(json.encode({"message": failure.message}), failure.status, headers=failure.headers)


COHERE_ERRORS = ErrorForm(write_error, CohereErrorBody)
"""The error format of Cohere's protocol."""
