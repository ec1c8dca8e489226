"""The only reader of untrusted JSON."""

from __future__ import annotations

import codecs
import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferox.core.error_root import InferoxError
from inferox.core.errors import ManifestError
from inferox.core.regular_file import read_regular_file
from inferox.core.shown_text import counted, shown

MAX_JSON_BYTES = 16 << 20
"""The largest JSON file that is read, unless a caller states another limit.

The largest honest manifest lists 10,000 files with paths of 1,024 bytes: 12 MB. A parsed value takes up to 25 times the
memory of its text, so a hostile file of this size costs at most about 400 MB.
"""

MAX_JSON_DEPTH = 64
"""The deepest nesting of lists and objects: the most axes of a NumPy array, and far more than any manifest needs."""

MAX_INTEGER_DIGITS = 100
"""The most digits of an integer. Real files have up to 31: transformers writes ``int(1e30)`` for "no limit"."""

MAX_INTEGER = 2**63 - 1
"""The largest integer that a field may hold; its negative is the smallest: 64 bits, as in other formats."""

_PATH_CHARACTERS = 120


@dataclass(frozen=True)
class _Fault:
    """A placeholder for an invalid value, with the reason, until the value's path in the file is known."""

    text: str


@dataclass(frozen=True)
class _Literal:
    """``NaN``, ``Infinity`` or ``-Infinity``, which Python reads and JSON does not have."""

    name: str


def read_json_file(
    path: Path,
    *,
    error_type: type[InferoxError] = ManifestError,
    hint: str | None = None,
    max_bytes: int = MAX_JSON_BYTES,
    allow_non_finite: bool = False,
    digest: hashlib._Hash | None = None,
) -> Any:
    """Reads a JSON file strictly: anything that another program could read differently, or not at all, is refused.

    Args:
        path: The file. Named pipes and devices are not opened.
        error_type: The type of the error.
        hint: What the reader of the error can do about it.
        max_bytes: The largest size of the file.
        allow_non_finite: Whether ``NaN``, ``Infinity`` and ``-Infinity`` are read as numbers, as transformers reads and
            writes them in configs. Numbers that are too large, such as ``1e999``, are refused all the same.
        digest: A hash to update with the bytes that were read, so that it covers exactly what was parsed.

    Raises:
        FileNotFoundError: If there is no such file.
        InferoxError: Of the type ``error_type``, if the file cannot be read or is refused; it names the file and the
            field.
    """
    try:
        content = read_regular_file(path, max_bytes)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise error_type(f"{path.name} cannot be read: {reason}", hint=hint) from error
    if content is None:
        raise error_type(f"{path.name} must be a regular file, but is a folder, pipe, socket or device", hint=hint)
    if digest is not None:
        digest.update(content)
    return parse_json(
        content,
        path.name,
        error_type=error_type,
        hint=hint,
        max_bytes=max_bytes,
        allow_non_finite=allow_non_finite,
    )


def read_json_object(path: Path, *, error_type: type[InferoxError] = ManifestError, **options: Any) -> dict[str, Any]:
    """Reads a JSON file whose top-level value must be an object.

    Args:
        path: The file.
        error_type: The type of the error.
        options: The further arguments of ``read_json_file``.

    Raises:
        FileNotFoundError: If there is no such file.
        InferoxError: Of the type ``error_type``, if the file cannot be read, or is anything else.
    """
    value = read_json_file(path, error_type=error_type, **options)
    if not isinstance(value, dict):
        raise error_type(
            f"{path.name} must be a JSON object, but is of the type {type(value).__name__}", hint=options.get("hint")
        )
    return value


def parse_json(
    content: bytes | str,
    name: str,
    *,
    error_type: type[InferoxError] = ManifestError,
    hint: str | None = None,
    max_bytes: int = MAX_JSON_BYTES,
    allow_non_finite: bool = False,
) -> Any:
    r"""Parses JSON strictly.

    It refuses text that is not UTF-8 or begins with a byte order mark, lone surrogates (``"\ud800"``), names that
    appear twice in an object, numbers that are not finite or have too many digits, and nesting that is too deep.

    Args:
        content: The text.
        name: What it is, for errors, such as the file's name.
        error_type: The type of the error.
        hint: What the reader of the error can do about it.
        max_bytes: The largest number of bytes, or of characters where the content is text already.
        allow_non_finite: Whether ``NaN``, ``Infinity`` and ``-Infinity`` are read as numbers.

    Raises:
        InferoxError: Of the type ``error_type``; it names the field where one is at fault.
    """
    if len(content) > max_bytes:
        raise error_type(f"{name} has more than {_size_text(max_bytes)}, the most that is read", hint=hint)
    try:
        text = _decode(content)
        value = json.loads(
            text,
            object_pairs_hook=_to_object,
            parse_int=_to_integer,
            parse_float=_to_float,
            parse_constant=_Literal,
        )
    except RecursionError as error:
        raise error_type(f"{name} is not readable JSON: {_too_deep()}", hint=hint) from error
    except ValueError as error:
        raise error_type(f"{name} is not JSON in UTF-8: {error}", hint=hint) from error
    found = [value]
    _check(found, name, error_type, hint, allow_non_finite=allow_non_finite)
    return found[0]


def _size_text(size_bytes: int) -> str:
    return f"{size_bytes >> 20} MiB" if size_bytes >= 1 << 20 else counted(size_bytes, "byte")


def _decode(content: bytes | str) -> str:
    if isinstance(content, str):
        return content
    if content.startswith(codecs.BOM_UTF8):
        raise ValueError("it begins with a byte order mark; save it without one")
    return content.decode("utf-8")


def _to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Fault:
    fields = dict(pairs)
    if len(fields) == len(pairs):
        return fields
    twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
    return _Fault(f"the field {shown(twice)} appears twice")


def _to_integer(digits: str) -> int | _Fault:
    # Python itself refuses more than 4,300 digits, unless an environment variable says otherwise.
    count = len(digits.removeprefix("-"))
    if count > MAX_INTEGER_DIGITS:
        return _Fault(f"an integer has {count:,} digits, and may have {MAX_INTEGER_DIGITS} at most")
    return int(digits)


def _to_float(digits: str) -> float | _Fault:
    number = float(digits)
    return number if math.isfinite(number) else _Fault(f"the number {shown(digits)[1:-1]} is too large")


def _check(
    outermost: list[Any], name: str, error_type: type[InferoxError], hint: str | None, *, allow_non_finite: bool
) -> None:
    """Refuses faults anywhere in a value, and replaces literals that are allowed with numbers.

    It does not recurse, since the depth of nesting is one of the things it checks.

    Args:
        outermost: A list that holds only the value.
        name: The name of the value in errors.
        error_type: The type of the error.
        hint: What the reader of the error can do about it.
        allow_non_finite: Whether literals that are not finite are allowed.
    """
    waiting: list[tuple[Any, _Place | None]] = [(outermost, None)]
    while waiting:
        container, place = waiting.pop()
        depth = 0 if place is None else place.depth
        for key, value in list(container.items() if isinstance(container, dict) else enumerate(container)):
            fault = _find_fault(key, value, depth, allow_non_finite=allow_non_finite)
            if fault is not None:
                where = _Place(key, place, depth + 1).text
                raise error_type(f"{name}: {where}{fault}", hint=hint)
            if isinstance(value, dict | list):
                waiting.append((value, _Place(key, place, depth + 1)))
            elif isinstance(value, _Literal):
                container[key] = float(value.name)


def _find_fault(key: str | int, value: Any, depth: int, *, allow_non_finite: bool) -> str | None:
    """Describes what is wrong with a value or with its key; ``None`` if both are valid."""
    if isinstance(key, str) and _has_lone_surrogate(key):
        return f"the name {shown(key)} holds a lone surrogate"
    if isinstance(value, _Fault):
        return value.text
    if isinstance(value, str) and _has_lone_surrogate(value):
        return f"the text {shown(value)} holds a lone surrogate"
    if isinstance(value, _Literal) and not allow_non_finite:
        return f"{value.name} is not allowed in JSON"
    if depth >= MAX_JSON_DEPTH and isinstance(value, dict | list):
        return _too_deep()
    return None


def _has_lone_surrogate(text: str) -> bool:
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _too_deep() -> str:
    return f"lists and objects are nested more than {MAX_JSON_DEPTH} deep"


@dataclass(frozen=True)
class _Place:
    """The position of a value: its key or index in a container, and the position of that container."""

    key: str | int
    above: _Place | None
    depth: int

    @property
    def text(self) -> str:
        """The path from the outermost value, such as ``files[3].size: ``; empty for the outermost value itself."""
        parts: list[str] = []
        place: _Place | None = self
        while place is not None and place.above is not None:
            key = place.key
            parts.append(f"[{key}]" if isinstance(key, int) else f".{shown(key)[1:-1]}")
            place = place.above
        path = "".join(reversed(parts)).removeprefix(".")
        if len(path) > _PATH_CHARACTERS:
            path = f"{path[:_PATH_CHARACTERS]}…"
        return f"{path}: " if path else ""
