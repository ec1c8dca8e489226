"""JSON with one hostile place: the places of a document, the values, and the text with a value at a place."""

from __future__ import annotations

import copy
import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Place = tuple[str | int, ...]
"""The keys and indices that lead to a value."""

_DEPTH = 100_000

VALUES: dict[str, str] = {
    "null": "null",
    "true": "true",
    "zero": "0",
    "negative": "-1",
    "large": str(2**40),
    "beyond-double": "1" + "0" * 400,
    "too-many-digits": "1" * 5_000,
    "infinite": "1e999",
    "nan": "NaN",
    "empty-text": '""',
    "surrogate": r'"\ud800"',
    "path": '"../../../../etc/passwd"',
    "long-text": '"' + r"\u001b[2J\u0000\n\u202e" * 5_000 + '"',
    "nested": "[" * 60 + "]" * 60,
    "deep": "[" * _DEPTH + "]" * _DEPTH,
    "empty-list": "[]",
    "empty-object": "{}",
}
"""The values that replace another, as JSON text, by name."""

CHANGES = ("deleted", "twice", "unknown-key")
"""Other changes to a place: it is left out, appears twice, or, if it is an object, has one more key."""

_NUMBER = re.compile(r"\d+")
_PLACEHOLDER = "@@hostile@@"
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Document:
    """The JSON of a file: the whole of a JSON file, or the header of a safetensors file.

    Attributes:
        value: Its value.
        tail: What follows it in the file: the data of tensors.
    """

    value: Any
    tail: bytes | None = None

    @classmethod
    def read(cls, path: Path) -> Document:
        """Reads a file of one of the two kinds."""
        content = path.read_bytes()
        if path.suffix == ".json":
            return cls(json.loads(content))
        (length,) = _LENGTH.unpack_from(content)
        begin = _LENGTH.size
        return cls(json.loads(content[begin : begin + length]), content[begin + length :])

    def change(self, place: Place, change: str) -> bytes:
        """Returns the bytes of the file with one place changed.

        Args:
            place: The place.
            change: A name of ``VALUES`` or one of ``CHANGES``.
        """
        text = _change(self.value, place, change).encode()
        return text if self.tail is None else _LENGTH.pack(len(text)) + text + self.tail


def places(value: Any, here: Place = ()) -> Iterator[Place]:
    """Yields every place of a document, containers and leaves alike."""
    yield here
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*here, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*here, index))


def changes_at(value: Any, place: Place) -> Iterator[str]:
    """Returns the names of the possible changes to a place."""
    yield from VALUES
    if place:
        yield from ("deleted", "twice")
    if isinstance(_at(value, place), dict):
        yield "unknown-key"


def field_of(place: Place) -> Place:
    """Returns a place without its indices and the numbers in its names, so that items of a list share one field."""
    return tuple("*" if isinstance(key, int) else _NUMBER.sub("*", key) for key in place)


def _at(value: Any, place: Place) -> Any:
    for key in place:
        value = value[key]
    return value


def _change(value: Any, place: Place, change: str) -> str:
    if not place and change in VALUES:
        return VALUES[change]
    changed = copy.deepcopy(value)
    parent = _at(changed, place[:-1])
    if change == "unknown-key":
        _at(changed, place)[_PLACEHOLDER] = 1
        return json.dumps(changed)
    key = place[-1]
    if change == "deleted":
        del parent[key]
        return json.dumps(changed)
    if change == "twice":
        # In front, so that the last value, which readers of JSON take, is still the honest one.
        return _repeat(changed, parent, key)
    parent[key] = _PLACEHOLDER
    return json.dumps(changed).replace(json.dumps(_PLACEHOLDER), VALUES[change], 1)


def _repeat(changed: Any, parent: Any, key: str | int) -> str:
    if isinstance(key, int):
        parent.insert(key, parent[key])
        return json.dumps(changed)
    items = list(parent.items())
    parent.clear()
    for name, item in items:
        if name == key:
            parent[_PLACEHOLDER] = None
        parent[name] = item
    return json.dumps(changed).replace(json.dumps(_PLACEHOLDER), json.dumps(key), 1)
