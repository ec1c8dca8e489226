"""The conversion of unexpected errors for callers."""

from __future__ import annotations

from inferox.core import ExecutionError, InferoxError, OutOfMemoryError, first_line


def to_failure(action: str, error: BaseException) -> InferoxError:
    """Converts an unexpected error to one for the caller; errors of Inferox are returned unchanged.

    A ``MemoryError`` becomes an ``OutOfMemoryError``, anything else an ``ExecutionError``.

    Args:
        action: The action that failed.
        error: The error.
    """
    if isinstance(error, InferoxError):
        return error
    message = f"{action} failed: {first_line(error)}"
    failure: InferoxError = ExecutionError(message)
    if isinstance(error, MemoryError):
        failure = OutOfMemoryError(message, requested_bytes=None, free_bytes=None)
    failure.__cause__ = error
    return failure
