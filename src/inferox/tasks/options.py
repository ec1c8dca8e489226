"""Readers of a task's options and a model's JSON files, with errors that name the field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, TypeVar

from inferox.core import MAX_INTEGER, ManifestError, PackageError, UnsafePathError, read_json_object, shown

T = TypeVar("T")


def optional(values: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    """Reads a field that may be missing or null.

    Args:
        values: The JSON object.
        name: The field.
        kind: Its Python type. ``float`` accepts integers too; ``int`` does not accept true and false.

    Raises:
        ManifestError: If the field is of another type, or a number that is infinite, NaN or too large.
    """
    value = values.get(name)
    if value is None:
        return None
    if type(value) is int and abs(value) > MAX_INTEGER:
        raise ManifestError(f"{name!r} must be a 64-bit integer, but is {shown(value)}")
    if kind is float and type(value) is int:
        return kind(value)  # type: ignore[call-arg] # kind is float here
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ManifestError(f"{name!r} must be of the type {kind.__name__}, but is {shown(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ManifestError(f"{name!r} must be a finite number, but is {value!r}")
    return value


def optional_count(values: Mapping[str, Any], name: str, *, least: int = 0) -> int | None:
    """Reads a count, an integer that may be missing or null.

    Args:
        values: The JSON object.
        name: The field.
        least: The least number that it may be.

    Raises:
        ManifestError: If the field is of another type or out of range.
    """
    value = optional(values, name, int)
    if value is not None and value < least:
        raise ManifestError(f"{name!r} must be {least} or more, but is {value}")
    return value


def required(values: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """Reads a required field.

    Raises:
        ManifestError: If the field is missing, null or of another type.
    """
    value = optional(values, name, kind)
    if value is None:
        raise ManifestError(
            f"the task's options need {name!r} of the type {kind.__name__}, but have {shown(sorted(values))}"
        )
    return value


def required_list(values: Mapping[str, Any], name: str, kind: type[T]) -> list[T]:
    """Reads a list whose items are all of one type.

    Raises:
        ManifestError: If the field is missing, not a list, or has an item of another type.
    """
    items = required(values, name, list)
    return [required({f"{name}[{index}]": item}, f"{name}[{index}]", kind) for index, item in enumerate(items)]


def read_json(path: Path, *, allow_non_finite: bool = False) -> dict[str, Any] | None:
    """Reads a JSON object; ``None`` if there is no such file.

    Args:
        path: The file.
        allow_non_finite: Whether ``NaN`` and ``Infinity`` are numbers, as in files that only transformers reads.

    Raises:
        PackageError: If the file is not a JSON object, or ``read_json_file`` refuses it.
    """
    try:
        return read_json_object(
            path, error_type=PackageError, hint="fetch the model again", allow_non_finite=allow_non_finite
        )
    except FileNotFoundError:
        return None


def member_path(root: Path, relative: str) -> Path:
    """Returns the path of a file below a folder, without resolving links: files of a hub's cache link elsewhere.

    Raises:
        UnsafePathError: If the path is absolute or contains ``..``.
    """
    parts = PurePosixPath(relative.replace("\\", "/")).parts
    if not parts or ".." in parts or PurePosixPath(*parts).is_absolute() or PureWindowsPath(relative).drive:
        raise UnsafePathError(f"{shown(relative)} leads out of the model's folder")
    return root / relative
