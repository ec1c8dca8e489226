"""Errors in the format of text-embeddings-inference."""

from __future__ import annotations

from msgspec import Struct, json

from inferox.server.failure import Failure
from inferox.server.http_response import HttpResponse
from inferox.server.input_texts import EMPTY
from inferox.server.protocol import ErrorForm

_INVALID_JSON = "invalid_json"

_STATUSES = {400: 422, 500: 424}
"""Statuses that differ in TEI: invalid requests get 422, and failures of a model 424."""

_TYPES = {424: "Backend", 429: "Overloaded", 503: "Unhealthy", 504: "Backend"}


class TeiErrorBody(Struct, forbid_unknown_fields=True):
    """The body of an error."""

    error: str
    error_type: str


def write_error(failure: Failure) -> HttpResponse:
    """Writes an error in the format of text-embeddings-inference.

    Args:
        failure: The error to report.
    """
    is_plain = failure.code in {_INVALID_JSON, EMPTY}
    status = failure.status if is_plain else _STATUSES.get(failure.status, failure.status)
    kind = "Empty" if failure.code == EMPTY else _TYPES.get(status, "Validation")
    return HttpResponse(json.encode({"error": failure.message, "error_type": kind}), status, headers=failure.headers)


TEI_ERRORS = ErrorForm(write_error, TeiErrorBody)
"""The error format of text-embeddings-inference."""
