"""Faults of a body that should be JSON."""

from __future__ import annotations

import re

from inferox.server.http_error import HttpError
from inferox.server.json_depth import is_deeper

_MOST_DEPTH = 64
"""The greatest nesting depth of a body: no protocol needs a quarter of it."""

_ESCAPES = re.compile(rb"\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})")
"""An escaped backslash, a whole surrogate pair, or, as group 1, a lone surrogate."""


def check_depth(body: bytes) -> None:
    """Checks that a body is not nested too deeply.

    Args:
        body: The body.

    Raises:
        HttpError: If it is.
    """
    if is_deeper(body, _MOST_DEPTH):
        raise HttpError(400, "invalid_json", f"the body may be nested {_MOST_DEPTH} deep, but is nested more deeply")


def explain_json(body: bytes, error: Exception) -> HttpError:
    """Returns the error for a body that cannot be decoded.

    Args:
        body: The body.
        error: The decoder's error, which mistakes half of a surrogate pair for the end, and counts bytes that are not
            UTF-8 from the start of the string.
    """
    if not body.strip():
        return HttpError(400, "invalid_json", "the body is empty, but JSON is expected")
    try:
        body.decode()
    except UnicodeDecodeError as fault:
        return HttpError(
            400, "invalid_json", f"the body is not JSON: byte {fault.start} is 0x{body[fault.start]:02x}, not UTF-8"
        )
    lone = next((found for found in _ESCAPES.finditer(body) if found[1] is not None), None)
    if lone is not None:
        return HttpError(
            400,
            "invalid_json",
            f"the body is not JSON: {lone[1].decode()} at byte {lone.start()} is half of a surrogate pair, "
            "not a character",
        )
    return HttpError(400, "invalid_json", f"the body is not JSON: {error}")
