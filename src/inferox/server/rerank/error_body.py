"""Errors as clients that rank read them."""

from __future__ import annotations

from msgspec import json

from inferox.server.failure import Failure
from inferox.server.http_response import HttpResponse


def write_error(failure: Failure) -> HttpResponse:
    """An error as clients that rank read it: ``message`` is Cohere's, ``error`` vLLM's.

    Args:
        failure: What is said of it.
    """
    error = {"message": failure.message, "type": failure.kind, "param": failure.param, "code": failure.code}
    body = json.encode({"message": failure.message, "error": error})
    return HttpResponse(body, failure.status, headers=failure.headers)
