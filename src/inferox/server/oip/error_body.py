"""Errors in the format of the Open Inference Protocol."""

from __future__ import annotations

from msgspec import json

from inferox.core import RequestError
from inferox.core.error_facts import describe_error, kind_of
from inferox.server.failure import Failure
from inferox.server.http_response import HttpResponse
from inferox.server.oip.answers import OipErrorBody
from inferox.server.protocol import ErrorForm


def write_error(failure: Failure) -> HttpResponse:
    """Writes an error: ``error`` for the protocol's clients, ``inferox`` for Inferox's own client.

    Args:
        failure: The error to report.
    """
    kind = kind_of(failure.error) or RequestError
    told = {"kind": kind.__name__, "facts": describe_error(failure.error)}
    body = json.encode({"error": failure.message, "inferox": told})
    return HttpResponse(body, failure.status, headers=failure.headers)


OIP_ERRORS = ErrorForm(write_error, OipErrorBody)
"""The error format of the Open Inference Protocol."""
