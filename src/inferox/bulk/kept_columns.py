"""The columns that are copied from the input of a bulk run to its output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from inferox.bulk.rows import Column, Rows
from inferox.core import shown

if TYPE_CHECKING:
    import pyarrow as pa


class KeptColumns:
    """The kept columns of an output. Where its format states their types, the values of all rows are fitted to them.

    Args:
        samples: Some values of each column, or an array of its type.
        are_typed: Whether the format states the types of columns.

    Attributes:
        names: The names of the columns.

    Raises:
        ConfigError: If no value of a column has a type.
    """

    def __init__(self, samples: Mapping[str, Column], *, are_typed: bool) -> None:
        self.names = tuple(samples)
        self._types: dict[str, pa.DataType] = {}
        if are_typed:
            from inferox.bulk.writers.arrow import column_type

            self._types = {name: column_type(name, sample) for name, sample in samples.items()}

    def fit(self, rows: Rows, name_row: Callable[[int], str]) -> Rows:
        """Converts the values of rows to the types of their columns. A row with another value gets an error.

        Args:
            rows: The rows.
            name_row: Names a row, by its index, for the error.
        """
        if not self._types:
            return rows
        from inferox.bulk.writers.arrow import fit_column

        columns, errors = dict(rows.columns), list(rows.errors)
        for name, kind in self._types.items():
            columns[name], strange = fit_column(columns[name], kind)
            for place, value in strange.items():
                said = f"{name_row(place)}: {name!r} is {shown(value)}, but the column has the type {kind}"
                errors[place] = errors[place] or said
        return replace(rows, columns=columns, errors=errors)
