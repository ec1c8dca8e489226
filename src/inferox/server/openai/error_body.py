"""Errors as OpenAI's clients read them."""

from __future__ import annotations

from msgspec import json

from inferox.server.failure import Failure
from inferox.server.http_response import HttpResponse


def write_error(failure: Failure) -> HttpResponse:
    """An error as OpenAI's clients read it.

    Args:
        failure: What is said of it.
    """
    error = {"message": failure.message, "type": failure.kind, "param": failure.param, "code": failure.code}
    return HttpResponse(json.encode({"error": error}), failure.status, headers=failure.headers)
