"""Errors of a request at the level of HTTP, before any protocol reads it."""

from __future__ import annotations

from collections.abc import Mapping

from inferox.core import RequestError


class HttpError(RequestError):
    """An error of a request for which HTTP itself has a status.

    Args:
        status: The HTTP status.
        code: A short code.
        message: What was expected and what was given.
        headers: Headers that belong to the status, such as ``allow``.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})


class ClientGoneError(Exception):
    """The client has disconnected, and does not wait for the response."""
