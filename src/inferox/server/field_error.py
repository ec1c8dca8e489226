"""A field of a request that cannot be taken."""

from __future__ import annotations

from inferox.core import RequestError


class FieldError(RequestError):
    """A field of a request that cannot be taken.

    Args:
        field: Its name; ``None`` where that is not known.
        message: What was expected and what was given.
        hint: What the caller can do about it.
        code: A word for what is wrong; ``None`` where there is no special one.
    """

    def __init__(self, field: str | None, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.field = field
        self.code = code
