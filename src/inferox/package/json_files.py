"""JSON as the files of a package have it, read strictly: every field is what it must be, or the error says what it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from inferox.core import ManifestError

_MAX_BYTES = 16 << 20
_KIND_TEXTS = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}

Value = TypeVar("Value")


class Fields:
    """The fields of a JSON object. Those that are never asked for are left alone.

    Args:
        data: The JSON value.
        subject: What it is, for errors, such as ``metadata.json``.

    Raises:
        ManifestError: If it is no object.
    """

    def __init__(self, data: Any, subject: str) -> None:
        if not isinstance(data, dict):
            raise ManifestError(f"{subject} must be an object, and is {_kind_text(data)}")
        self._data = data
        self._subject = subject

    def required(self, name: str, kind: type[Value]) -> Value:
        """The value of a field that must be there.

        Raises:
            ManifestError: If it is missing, null or of another type.
        """
        value = self._data.get(name)
        if not _is(value, kind):
            raise self._wrong(name, _KIND_TEXTS[kind])
        return value  # type: ignore[no-any-return]  # checked in the line above

    def optional(self, name: str, kind: type[Value]) -> Value | None:
        """The value of a field that may be missing or null.

        Raises:
            ManifestError: If it is of another type.
        """
        return None if self._data.get(name) is None else self.required(name, kind)

    def number(self, name: str) -> float:
        """The value of a field that must be a number, with or without a fraction.

        Raises:
            ManifestError: If it is missing, null or of another type.
        """
        value = self._data.get(name)
        return float(value) if _is(value, int) else self.required(name, float)

    def texts(self, name: str) -> tuple[str, ...]:
        """The value of a field that must be a list of texts.

        Raises:
            ManifestError: If it is missing, or anything else.
        """
        values = self.required(name, list)
        if not all(isinstance(value, str) for value in values):
            raise self._wrong(name, "a list of texts")
        return tuple(values)

    def map(self, name: str, read: Callable[[Any], Value]) -> tuple[Value, ...]:
        """The values of a field that must be a list, each read by a function.

        Raises:
            ManifestError: If it is missing or no list.
        """
        return tuple(read(item) for item in self.required(name, list))

    def _wrong(self, name: str, expected: str) -> ManifestError:
        found = _kind_text(self._data[name]) if name in self._data else "missing"
        return ManifestError(f"{name!r} of {self._subject} must be {expected}, and is {found}")


def read_bytes(path: Path) -> bytes:
    """Reads a JSON file of a package, up to the size that one can have.

    Args:
        path: The file.

    Raises:
        ManifestError: If it is missing, unreadable or larger than any manifest.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ManifestError(f"{path.name} is missing from {path.parent}", hint="pack the model again") from error
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > _MAX_BYTES:
        raise ManifestError(f"{path.name} has more than {_MAX_BYTES >> 20} MiB, which no manifest has")
    return content


def parse_json(content: bytes, name: str) -> Any:
    """Parses a JSON file of a package.

    Args:
        content: Its bytes.
        name: Its name, for errors.

    Raises:
        ManifestError: If they are not UTF-8, no JSON, nested too deeply, or name a field twice.
    """
    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_without_duplicates)
        # "\ud800" parses, and is half of a character: nothing could print it, or look it up on the disk.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{name} is no JSON in UTF-8: {error}", hint="fetch the package again") from error
    return value


def read_object(path: Path) -> dict[str, Any]:
    """Reads a JSON file of a package whose outermost value is an object.

    Args:
        path: The file.

    Raises:
        ManifestError: If it is missing, too large, no JSON, or no object.
    """
    value = parse_json(read_bytes(path), path.name)
    if not isinstance(value, dict):
        raise ManifestError(f"{path.name} must be an object, and is {_kind_text(value)}")
    return value


def to_json_bytes(data: Any) -> bytes:
    """JSON as the files of a package have it: indented, and ending in a line break."""
    return (json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _is(value: Any, kind: type[Any]) -> bool:
    # To Python, True is a number.
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _kind_text(value: Any) -> str:
    return _KIND_TEXTS[type(value)]


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the field {next(name for name in names if names.count(name) > 1)!r} stands twice")
    return fields
