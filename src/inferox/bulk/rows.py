"""Rows of an input: columns of values, and the errors of rows that could not be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Column = Any
"""The values of a column: a list, or a pyarrow array, which keeps the type that the file states."""


@dataclass(frozen=True)
class Rows:
    """Consecutive rows of an input.

    Attributes:
        columns: The values of each column that is read, one per row.
        errors: For each row the reason why it cannot be read; ``None`` if it can.
    """

    columns: dict[str, Column]
    errors: list[str | None]

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self.errors)

    def values(self, name: str) -> list[Any]:
        """Returns the values of a column as Python objects."""
        return to_list(self.columns[name])


def to_list(column: Column) -> list[Any]:
    """Returns the values of a column as Python objects.

    Args:
        column: A list, or a pyarrow array.
    """
    values: list[Any] = column if isinstance(column, list) else column.to_pylist()
    return values


def join_rows(blocks: Sequence[Rows]) -> Rows:
    """Concatenates blocks of rows.

    Args:
        blocks: The blocks; at least one, all with the same columns.
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
