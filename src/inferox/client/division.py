"""Splitting inputs of any size into requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

Row = TypeVar("Row", bound=tuple[bytes, ...])


def divide(rows: Iterable[Row], *, most_rows: int, most_bytes: int) -> Iterator[list[Row]]:
    """Splits rows into parts, in order, holding only one part in memory.

    Args:
        rows: The rows, each with the bytes to be sent.
        most_rows: The most rows of a part.
        most_bytes: The most bytes of a part, unless a single row has more.

    Yields:
        The parts; none is empty.
    """
    part: list[Row] = []
    part_bytes = 0
    for row in rows:
        row_bytes = sum(map(len, row))
        if part and (len(part) == most_rows or part_bytes + row_bytes > most_bytes):
            yield part
            part, part_bytes = [], 0
        part.append(row)
        part_bytes += row_bytes
    if part:
        yield part
