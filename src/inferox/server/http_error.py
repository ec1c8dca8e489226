"""What is wrong with a request as HTTP has it, before any protocol reads it."""

from __future__ import annotations

from collections.abc import Mapping

from inferox.core import RequestError


class HttpError(RequestError):
    """A request that HTTP itself has a status for.

    Args:
        status: The status.
        code: A word for it.
        message: What was expected and what was given.
        headers: Headers that belong to the status, such as ``allow``.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})


class ClientGoneError(Exception):
    """The client has closed its connection: nobody waits for an answer."""
