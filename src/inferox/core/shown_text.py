"""Foreign text as it is shown: in errors, tables and logs, where it must neither control a terminal nor fill it."""

from __future__ import annotations

from typing import Any

SHOWN_CHARACTERS = 120
"""The most characters of a foreign value that an error shows."""


def printable(text: str) -> str:
    r"""Writes out every character that is not printable, as Python does: ``\x1b``, ``\n``, ``\u202e``, ``\ud800``.

    What comes from a package could otherwise move a terminal's cursor, colour it, forge further lines, or turn the
    direction of what is beside it. Ordinary text of any script is left as it is.

    Args:
        text: The text.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def counted(count: int, one: str, several: str | None = None) -> str:
    """A number of things, as it is written: ``1 row``, ``0 rows``, ``2,048 rows``.

    Args:
        count: How many there are.
        one: What a single one is called.
        several: What several are called; ``None`` for the same with an ``s``.
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def shown(value: Any, at_most: int = SHOWN_CHARACTERS) -> str:
    """The representation of a foreign value, printable and cut to a length that fits an error.

    Args:
        value: A JSON value.
        at_most: The number of characters from which on it is cut.
    """
    if isinstance(value, str) and len(value) > at_most:
        return f"{printable(repr(value[:at_most]))[:-1]}…' ({counted(len(value), 'character')})"
    try:
        text = printable(repr(value))
    except (ValueError, RecursionError):  # an integer of more digits than Python writes, or lists nested too deeply
        return f"a value of the type {type(value).__name__}"
    return text if len(text) <= at_most else f"{text[:at_most]}… ({counted(len(text), 'character')})"
