"""The width of text, without its font: the page is shown in whatever font the reader's system has."""

from __future__ import annotations

import unicodedata

from inferox.core import printable

_NARROW, _SLIM, _SMALL, _USUAL, _BROAD, _FULL = 0.34, 0.45, 0.6, 0.65, 0.82, 1.05
"""Widths as shares of the font's size: at least those in DejaVu Sans and Verdana, the widest of the usual fonts."""

_WIDTHS = {
    **dict.fromkeys("iljI|'.,:;! ", _NARROW),
    **dict.fromkeys('ftr-/()[]"`\\', _SLIM),
    **dict.fromkeys("wABCDEGHKNOPQRSTUVXYZ&_+=<>~^#$", _BROAD),
    **dict.fromkeys("mMW@%", _FULL),
}


def text_width(text: str, size: float) -> float:
    """Estimates the width of text, rather too wide than too narrow.

    Args:
        text: The text.
        size: The size of the font.
    """
    return size * sum(_width(character) for character in printable(text))


def _width(character: str) -> float:
    if character.isascii():
        return _WIDTHS.get(character, _USUAL)
    # An accent is drawn above the letter that it follows.
    return 0.0 if unicodedata.combining(character) else _FULL
