"""Rows of an input as they are read: columns of values, and why a row could not be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Column = Any
"""The values of a column: a list, or an array of pyarrow, which keeps the type that the file states."""


@dataclass(frozen=True)
class Rows:
    """Some rows of an input, one after the other.

    Attributes:
        columns: The values of each column that is read, one per row.
        errors: For each row why it cannot be read; ``None`` where it can.
    """

    columns: dict[str, Column]
    errors: list[str | None]

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.errors)

    def values(self, name: str) -> list[Any]:
        """The values of a column as Python has them."""
        return to_list(self.columns[name])


def to_list(column: Column) -> list[Any]:
    """The values of a column as Python has them.

    Args:
        column: A list, or an array of pyarrow.
    """
    values: list[Any] = column if isinstance(column, list) else column.to_pylist()
    return values


def join_rows(blocks: Sequence[Rows]) -> Rows:
    """Puts blocks of rows end to end.

    Args:
        blocks: The blocks, at least one, all of the same columns.
    """
    if len(blocks) == 1:
        return blocks[0]
    columns = {name: _join([block.columns[name] for block in blocks]) for name in blocks[0].columns}
    return Rows(columns, [error for block in blocks for error in block.errors])


def _join(parts: list[Column]) -> Column:
    if any(isinstance(part, list) for part in parts) or len({part.type for part in parts}) > 1:
        return [value for part in parts for value in to_list(part)]
    import pyarrow as pa

    return pa.concat_arrays(parts)
