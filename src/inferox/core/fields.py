"""The fields of JSON objects, read strictly."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from inferox.core.errors import ManifestError
from inferox.core.json_reader import MAX_INTEGER
from inferox.core.shown_text import shown

Value = TypeVar("Value")


class Fields:
    """The fields of a JSON object, read strictly.

    Integers must fit 64 bits, other numbers must be finite, and ``true`` is not a number.

    Args:
        data: The JSON value.
        subject: The name of the value in errors.

    Raises:
        ManifestError: If it is not an object.
    """

    def __init__(self, data: Any, subject: str) -> None:
        if not isinstance(data, dict):
            raise ManifestError(f"{subject} must be a JSON object, but is of the type {type(data).__name__}")
        self._data = data
        self._subject = subject

    def required(self, name: str, kind: type[Value]) -> Value:
        """Returns the value of a required field.

        Raises:
            ManifestError: If it is missing, or of another type.
        """
        value = self.optional(name, kind)
        if value is None:
            raise ManifestError(f"{self._subject} lacks {name!r}, which must be of the type {kind.__name__}")
        return value

    def optional(self, name: str, kind: type[Value]) -> Value | None:
        """The value of a field that may be missing or null.

        Raises:
            ManifestError: If it is of another type, or a number that is out of range.
        """
        value = self._data.get(name)
        if value is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
            raise ManifestError(
                f"{name!r} of {self._subject} must be of the type {kind.__name__}, but is of {type(value).__name__}"
            )
        if type(value) is int and abs(value) > MAX_INTEGER:
            raise self._wrong(name, "a 64-bit integer", value)
        if isinstance(value, float) and not math.isfinite(value):
            raise self._wrong(name, "finite", value)
        return value

    def count(self, name: str) -> int:
        """The value of a field that must be a non-negative integer.

        Raises:
            ManifestError: If it is missing, null or anything else.
        """
        value = self.required(name, int)
        if value < 0:
            raise self._wrong(name, "0 or more", value)
        return value

    def optional_count(self, name: str) -> int | None:
        """The value of a field that may be missing or null, and otherwise must be a non-negative integer.

        Raises:
            ManifestError: If it is anything else.
        """
        return None if self._data.get(name) is None else self.count(name)

    def number(self, name: str, *, least: float | None = None, most: float | None = None) -> float:
        """The value of a field that must be a finite number, with or without a fraction.

        Args:
            name: The field.
            least: The least number that it may be; ``None`` for any.
            most: The largest number that it may be; ``None`` for any.

        Raises:
            ManifestError: If it is missing, null, of another type or out of range.
        """
        value = self._data.get(name)
        number = float(self.required(name, int)) if type(value) is int else self.required(name, float)
        if least is not None and number < least:
            raise self._wrong(name, f"{least:g} or more", number)
        if most is not None and number > most:
            raise self._wrong(name, f"{most:g} or less", number)
        return number

    def optional_number(self, name: str, *, least: float | None = None, most: float | None = None) -> float | None:
        """The value of a field that may be missing or null, and otherwise must be a finite number.

        Args:
            name: The field.
            least: The least number that it may be; ``None`` for any.
            most: The largest number that it may be; ``None`` for any.

        Raises:
            ManifestError: If it is of another type or out of range.
        """
        return None if self._data.get(name) is None else self.number(name, least=least, most=most)

    def texts(self, name: str) -> tuple[str, ...]:
        """The value of a field that must be a list of texts.

        Raises:
            ManifestError: If it is missing, or anything else.
        """
        values = self.required(name, list)
        if not all(isinstance(value, str) for value in values):
            raise self._wrong(name, "a list of texts", values)
        return tuple(values)

    def text_by_name(self, name: str) -> dict[str, str]:
        """The value of a field that may be missing or null, and otherwise must be an object of texts.

        Raises:
            ManifestError: If it is anything else.
        """
        values: dict[str, str] = self.optional(name, dict) or {}
        if not all(isinstance(value, str) for value in values.values()):
            raise self._wrong(name, "an object of texts", values)
        return values

    def map(self, name: str, read: Callable[[Any], Value]) -> tuple[Value, ...]:
        """The values of a field that must be a list, each read by a function.

        Raises:
            ManifestError: If it is missing or not a list.
        """
        return tuple(read(item) for item in self.required(name, list))

    def _wrong(self, name: str, expected: str, value: Any) -> ManifestError:
        return ManifestError(f"{name!r} of {self._subject} must be {expected}, but is {shown(value)}")
