"""Errors as Cohere's clients read them."""

from __future__ import annotations

from msgspec import json

from inferox.server.failure import Failure
from inferox.server.http_response import HttpResponse


def write_error(failure: Failure) -> HttpResponse:
    """An error as Cohere's clients read it.

    Args:
        failure: What is said of it.
    """
    return HttpResponse(json.encode({"message": failure.message}), failure.status, headers=failure.headers)
