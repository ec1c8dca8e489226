"""The conversion of Inferox's errors to messages and back, with all their facts."""

from __future__ import annotations

from inferox.core import ExecutionError, InferoxError, first_line
from inferox.core.error_facts import describe_error, kind_of, restore_error
from inferox.engine.unexpected import to_failure
from inferox.engine.workers.messages import Failed


def to_message(call: int, error: BaseException) -> Failed:
    """Converts an error to a message.

    Args:
        call: The number of the call that failed with it.
        error: The error; one that is not Inferox's becomes an ``ExecutionError``, or an ``OutOfMemoryError`` if that
            is what it means.
    """
    if isinstance(error, MemoryError):
        error = to_failure("a call", error)
    kind, causes = kind_of(error), _causes_of(error)
    if kind is None or not isinstance(error, InferoxError):
        kind, error = ExecutionError, ExecutionError(f"{type(error).__name__}: {first_line(error)}")
    return Failed(call, kind.__name__, error.args[0], describe_error(error), causes)


def to_error(message: Failed) -> InferoxError:
    """Restores an error from a message.

    Args:
        message: The result of ``to_message``.
    """
    error = restore_error(message.kind, message.message, message.facts)
    for cause in message.causes:
        error.add_note(f"in a worker process, from {cause}")
    return error


def _causes_of(error: BaseException) -> list[str]:
    causes: list[str] = []
    cause = error.__cause__
    while cause is not None and len(causes) < 8:  # noqa: PLR2004 - a chain of more tells nobody anything
        causes.append(f"{type(cause).__name__}: {first_line(cause)}")
        cause = cause.__cause__
    return causes
