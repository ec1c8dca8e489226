"""Errors of Inferox as messages, with everything that they say."""

from __future__ import annotations

from typing import Any

from inferox.core import DataType, ExecutionError, InferoxError, errors, first_line
from inferox.engine.workers.messages import Failed

_DTYPE = "dtype"
"""What a data type is marked with among the facts."""


def to_message(call: int, error: BaseException) -> Failed:
    """Writes an error.

    Args:
        call: The number of the call that failed with it.
        error: The error; what is not one of Inferox becomes an ``ExecutionError``.
    """
    kind = next((base for base in type(error).__mro__ if _is_known(base)), None)
    causes = _causes_of(error)
    if kind is None or not isinstance(error, InferoxError):
        kind, error = ExecutionError, ExecutionError(f"{type(error).__name__}: {first_line(error)}")
    facts = {name: _to_plain(value) for name, value in vars(error).items() if not name.startswith("__")}
    return Failed(call, kind.__name__, error.args[0], facts, causes)


def to_error(message: Failed) -> InferoxError:
    """Reads an error.

    Args:
        message: What ``to_message`` wrote.
    """
    kind: type[InferoxError] = getattr(errors, message.kind, ExecutionError)
    error = kind.__new__(kind, message.message)
    error.__dict__.update({name: _from_plain(value) for name, value in message.facts.items()})
    for cause in message.causes:
        error.add_note(f"in a worker process, from {cause}")
    return error


def _is_known(kind: type) -> bool:
    return issubclass(kind, InferoxError) and getattr(errors, kind.__name__, None) is kind


def _causes_of(error: BaseException) -> list[str]:
    causes: list[str] = []
    cause = error.__cause__
    while cause is not None and len(causes) < 8:  # noqa: PLR2004 - a chain of more tells nobody anything
        causes.append(f"{type(cause).__name__}: {first_line(cause)}")
        cause = cause.__cause__
    return causes


def _to_plain(value: Any) -> Any:
    if isinstance(value, DataType):
        return {_DTYPE: value.value}
    if isinstance(value, tuple | list):
        return [_to_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _to_plain(item) for key, item in value.items()}
    return value if isinstance(value, str | int | float | None) else str(value)


def _from_plain(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_from_plain, value))
    if isinstance(value, dict):
        return DataType(value[_DTYPE]) if set(value) == {_DTYPE} else {key: _from_plain(value[key]) for key in value}
    return value
