"""An invalid field of a request."""

from __future__ import annotations

from inferox.core import RequestError


class FieldError(RequestError):
    """An invalid field of a request.

    Args:
        field: The name of the field; ``None`` if unknown.
        message: What was expected and what was given.
        hint: What the caller can do about it.
        code: A short code; ``None`` for the general one.
    """

    def __init__(self, field: str | None, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.field = field
        self.code = code
