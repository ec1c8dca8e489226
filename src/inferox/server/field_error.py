"""A field of a request that cannot be taken."""

from __future__ import annotations

from inferox.core import RequestError


class FieldError(RequestError):
    """A field of a request that cannot be taken.

    Args:
        field: Its name; ``None`` where that is not known.
        message: What was expected and what was given.
        hint: What the caller can do about it.
    """

    def __init__(self, field: str | None, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.field = field
