"""Errors as the protocol's clients read them."""

from __future__ import annotations

from msgspec import json

from inferox.core import RequestError
from inferox.core.error_facts import describe_error, kind_of
from inferox.server.failure import Failure
from inferox.server.http_response import HttpResponse
from inferox.server.oip.answers import OipErrorBody
from inferox.server.protocol import ErrorForm


def write_error(failure: Failure) -> HttpResponse:
    """An error as the protocol's clients read it: ``error`` is the protocol's, ``inferox`` our own client's.

    Args:
        failure: What is said of it.
    """
    kind = kind_of(failure.error) or RequestError
    told = {"kind": kind.__name__, "facts": describe_error(failure.error)}
    body = json.encode({"error": failure.message, "inferox": told})
    return HttpResponse(body, failure.status, headers=failure.headers)


OIP_ERRORS = ErrorForm(write_error, OipErrorBody)
"""How the protocol says that something is wrong."""
