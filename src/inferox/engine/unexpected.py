"""Errors that nobody expects, as callers get them."""

from __future__ import annotations

from inferox.core import ExecutionError, InferoxError, first_line


def to_failure(action: str, error: BaseException) -> InferoxError:
    """The error for a caller whose request failed in a way that nobody expects; one of Inferox is left as it is.

    Args:
        action: What failed.
        error: How.
    """
    if isinstance(error, InferoxError):
        return error
    failure = ExecutionError(f"{action} failed: {first_line(error)}")
    failure.__cause__ = error
    return failure
