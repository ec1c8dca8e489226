"""The words for spreads and medians in tables and captions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inferox.measuring.timing import QUARTILES_FROM, Spread


def spread_text(found: Spread, write: Callable[[float], str]) -> str:
    """Formats the ends of a spread, such as ``3.1 – 3.4 ms``; empty if both are the same.

    Args:
        found: The spread.
        write: Formats a number with its unit.
    """
    if not found.range:
        return ""
    low, high = write(found.low), write(found.high)
    # A common unit is written once.
    number, _, unit = low.partition(" ")
    return f"{number if unit == high.partition(' ')[2] else low} – {high}"


def spans_text(spreads: Sequence[Spread]) -> str:
    """Says what the lines of spreads span, as the end of a sentence about them.

    Args:
        spreads: All that are drawn.
    """
    of_quartiles = {spread.is_middle_half for spread in spreads if spread.range}
    if of_quartiles == {True}:
        return "span the middle half of the rounds"
    return "span the rounds" + (", or the middle half of five and more" if True in of_quartiles else "")


def medians_text(count: int, what: str) -> str:
    """Says of how many rounds or starts a table's figures are the medians, and what is written below them.

    Args:
        count: The number.
        what: Either ``round`` or ``start``.
    """
    if count == 1:
        return f"of a single {what}"
    return f"medians of {count} {what}s, with their {'middle half' if count >= QUARTILES_FROM else 'range'} below"
