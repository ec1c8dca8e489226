"""The conversion of unexpected errors for callers."""

from __future__ import annotations

from inferox.core import ExecutionError, InferoxError, first_line


def to_failure(action: str, error: BaseException) -> InferoxError:
    """Converts an unexpected error to one for the caller; errors of Inferox are returned unchanged.

    Args:
        action: The action that failed.
        error: The error.
    """
    if isinstance(error, InferoxError):
        return error
    failure = ExecutionError(f"{action} failed: {first_line(error)}")
    failure.__cause__ = error
    return failure
