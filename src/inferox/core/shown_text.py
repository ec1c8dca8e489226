"""Foreign text as it is shown: in errors, tables and logs, where it must neither control a terminal nor fill it."""

from __future__ import annotations

from typing import Any

SHOWN_CHARACTERS = 120
"""How much of a foreign value an error shows."""


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


def shown(value: Any, at_most: int = SHOWN_CHARACTERS) -> str:
    """The representation of a foreign value, printable and cut to a length that fits an error.

    Args:
        value: A JSON value.
        at_most: The number of characters from which on it is cut.
    """
    if isinstance(value, str) and len(value) > at_most:
        return f"{printable(repr(value[:at_most]))[:-1]}…' ({len(value):,} characters)"
    try:
        text = printable(repr(value))
    except (ValueError, RecursionError):  # an integer of more digits than Python writes, or lists nested too deeply
        return f"a value of the type {type(value).__name__}"
    return text if len(text) <= at_most else f"{text[:at_most]}… ({len(text):,} characters)"
