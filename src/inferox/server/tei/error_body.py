"""Errors as clients of text-embeddings-inference read them."""

from __future__ import annotations

from msgspec import json

from inferox.server.failure import Failure
from inferox.server.http_response import HttpResponse
from inferox.server.input_texts import EMPTY

_INVALID_JSON = "invalid_json"

_STATUSES = {400: 422, 500: 424}
"""Where it has another status: what cannot be taken is 422, and a model that fails 424."""

_TYPES = {424: "Backend", 429: "Overloaded", 503: "Unhealthy", 504: "Backend"}


def write_error(failure: Failure) -> HttpResponse:
    """An error as clients of text-embeddings-inference read it.

    Args:
        failure: What is said of it.
    """
    is_plain = failure.code in {_INVALID_JSON, EMPTY}
    status = failure.status if is_plain else _STATUSES.get(failure.status, failure.status)
    kind = "Empty" if failure.code == EMPTY else _TYPES.get(status, "Validation")
    return HttpResponse(json.encode({"error": failure.message, "error_type": kind}), status, headers=failure.headers)
