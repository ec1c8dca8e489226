"""JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from inferox.bulk.rows import to_list
from inferox.bulk.writers.writer import ERROR, Schema, Writer


class JsonWriter(Writer):
    """One JSON object per row. A row with an error has ``null`` in place of its answer.

    Args:
        path: The file.
        schema: The schema of all parts.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        self._schema = schema
        self._stream = path.open("w", encoding="utf-8", newline="\n")

    def write(self, columns: Mapping[str, Any], errors: list[str | None]) -> None:
        """Writes one line per row; see ``Writer``."""
        lists = {name: _to_json(column, errors) for name, column in columns.items()}
        if self._schema.has_errors:
            lists[ERROR] = errors
        for values in zip(*lists.values(), strict=True):
            record = dict(zip(lists, values, strict=True))
            self._stream.write(json.dumps(record, ensure_ascii=False, default=str) + "\n")

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()


def _to_json(column: Any, errors: list[str | None]) -> list[Any]:
    if isinstance(column, np.ndarray):
        return [None if error else vector for error, vector in zip(errors, column.tolist(), strict=True)]
    return to_list(column)
