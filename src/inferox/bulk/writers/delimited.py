"""CSV files."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from inferox.bulk.rows import to_list
from inferox.bulk.writers.writer import ERROR, Schema, Writer
from inferox.core import ConfigError


class CsvWriter(Writer):
    """A CSV file with a header. Values that are neither strings nor numbers are written as JSON, nulls as empty fields.

    Args:
        path: The file.
        schema: The schema of all parts.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        self._schema = schema
        self._stream = path.open("w", encoding="utf-8", newline="")
        self._csv = csv.writer(self._stream, lineterminator="\n")
        self._has_header = False

    def write(self, columns: Mapping[str, Any], errors: list[str | None]) -> None:
        """Writes the rows; see ``Writer``."""
        lists = {name: _to_fields(column, errors) for name, column in columns.items()}
        if self._schema.has_errors:
            lists[ERROR] = ["" if error is None else error for error in errors]
        if not self._has_header:
            broken = next((name for name in lists if "\n" in name or "\r" in name), None)
            if broken is not None:
                raise ConfigError(f"the column {broken!r} has a line break in its name", hint="write another format")
            self._csv.writerow(lists)
            self._has_header = True
        self._csv.writerows(zip(*lists.values(), strict=True))

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()


def skip_header(stream: BinaryIO) -> None:
    """Skips the header of a part.

    Args:
        stream: The part, at its start.
    """
    stream.readline()


def _to_fields(column: Any, errors: list[str | None]) -> list[Any]:
    if isinstance(column, np.ndarray):
        return ["" if error else json.dumps(vector) for error, vector in zip(errors, column.tolist(), strict=True)]
    return [_to_field(value) for value in to_list(column)]


def _to_field(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, list | dict | tuple | bool):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value
