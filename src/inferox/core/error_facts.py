"""Errors of Inferox as plain values, so that another process can raise the same ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferox.core import errors
from inferox.core.dtype import DataType
from inferox.core.error_root import InferoxError
from inferox.core.errors import ExecutionError

_DTYPE = "dtype"
"""The key that marks a data type among the facts."""


def kind_of(error: BaseException) -> type[InferoxError] | None:
    """Returns the class of the error tree to which an error belongs; ``None`` if it is not an error of Inferox.

    Args:
        error: The error. A foreign subclass counts as the class of the tree from which it derives.
    """
    return next((base for base in type(error).__mro__ if _is_known(base)), None)


def describe_error(error: InferoxError) -> dict[str, Any]:
    """Describes an error's attributes as JSON values.

    Args:
        error: The error.
    """
    return {name: _to_plain(value) for name, value in vars(error).items() if not name.startswith("__")}


def restore_error(kind: str, message: str, facts: Mapping[str, Any]) -> InferoxError:
    """Restores an error that another process described.

    Args:
        kind: The name of its class; one that is not in the tree becomes an ``ExecutionError``.
        message: Its message.
        facts: The result of ``describe_error``.
    """
    known = getattr(errors, kind, None)
    cls = known if isinstance(known, type) and issubclass(known, InferoxError) else ExecutionError
    error = cls.__new__(cls, message)
    error.__dict__.update({name: _from_plain(value) for name, value in facts.items()})
    return error


def _is_known(kind: type) -> bool:
    return issubclass(kind, InferoxError) and getattr(errors, kind.__name__, None) is kind


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
