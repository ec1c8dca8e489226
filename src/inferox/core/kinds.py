"""Kinds of things that metadata files name, and to which newer versions of Inferox may add."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, TypeVar

from inferox.core.errors import ManifestError, UnknownKindError
from inferox.core.shown_text import shown

Member = TypeVar("Member", bound=Enum)

_WORD = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def find_kind(kind: str, known: type[Member], value: Any, subject: str) -> Member:
    """Finds a kind by its name in a metadata file.

    Args:
        kind: What is named, such as ``precision``.
        known: The kinds that this version knows.
        value: The JSON value.
        subject: The place of the value, for errors.

    Raises:
        UnknownKindError: If it is a word, but not one that this version knows.
        ManifestError: If it is anything else.
    """
    names = [item.value for item in known]
    if isinstance(value, str) and value in names:
        return known(value)
    if isinstance(value, str) and _WORD.fullmatch(value):
        raise UnknownKindError(kind, value, names)
    raise ManifestError(f"{subject} must be one of {', '.join(names)}, but is {shown(value)}")
