"""Display of foreign text in errors, tables and logs, where it must neither control nor fill a terminal."""

from __future__ import annotations

from typing import Any

SHOWN_CHARACTERS = 120
"""The most characters of a foreign value that an error shows."""


def printable(text: str) -> str:
    r"""Escapes every character that is not printable, as Python does: ``\x1b``, ``\n``, ``\u202e``, ``\ud800``.

    Text from a package could otherwise move a terminal's cursor, colour it, forge further lines, or reverse the
    direction of text beside it. Ordinary text of any script is left unchanged.

    Args:
        text: The text.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def counted(count: int, one: str, several: str | None = None) -> str:
    """Formats a count with its noun: ``1 row``, ``0 rows``, ``2,048 rows``.

    Args:
        count: The number.
        one: The singular noun.
        several: The plural noun; ``None`` for the singular with an ``s``.
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def shown(value: Any, at_most: int = SHOWN_CHARACTERS) -> str:
    """Formats a foreign value for an error: its representation, printable and cut to a length.

    Args:
        value: A JSON value.
        at_most: The most characters to show.
    """
    if isinstance(value, str) and len(value) > at_most:
        return f"{printable(repr(value[:at_most]))[:-1]}…' ({counted(len(value), 'character')})"
    try:
        text = printable(repr(value))
    except (ValueError, RecursionError):  # an integer of more digits than Python writes, or lists nested too deeply
        return f"a value of the type {type(value).__name__}"
    return text if len(text) <= at_most else f"{text[:at_most]}… ({counted(len(text), 'character')})"
