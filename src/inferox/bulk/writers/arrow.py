"""Parquet and Arrow files, and the types of their columns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from inferox.bulk.writers.writer import ERROR, TRUNCATED, Schema, Writer
from inferox.core import ConfigError

_ANSWER_TYPES: dict[str, pa.DataType] = {
    TRUNCATED: pa.bool_(),
    "label": pa.string(),
    "score": pa.float32(),
    "labels": pa.list_(pa.struct([("label", pa.string()), ("score", pa.float32())])),
    "spans": pa.list_(
        pa.struct(
            [
                ("label", pa.string()),
                ("score", pa.float32()),
                ("start", pa.int64()),
                ("end", pa.int64()),
                ("text", pa.string()),
            ]
        )
    ),
}


class TableWriter(Writer):
    """Writes tables whose types are determined by the first rows. Vectors are fixed-size lists.

    Args:
        path: The file.
        schema: The schema of all parts.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        self._path, self._shared = path, schema
        self._types: pa.Schema | None = None
        self._writer: Any = None

    def write(self, columns: Mapping[str, Any], errors: list[str | None]) -> None:
        """Writes the rows; see ``Writer``."""
        if self._types is None:
            self._types = make_types(self._shared, columns)
            self._writer = self._open(self._path, self._types)
        self._write_table(make_table(self._types, columns, errors))

    def close(self) -> None:
        """Finishes the file."""
        if self._writer is not None:
            self._writer.close()

    @abstractmethod
    def _open(self, path: Path, types: pa.Schema) -> Any:
        """Opens the file, now that its types are known."""

    @abstractmethod
    def _write_table(self, table: pa.Table) -> None:
        """Writes rows."""


class ParquetWriter(TableWriter):
    """A Parquet file. Vectors are not compressed, which would take time and gain nothing."""

    def _open(self, path: Path, types: pa.Schema) -> pq.ParquetWriter:
        return _open_parquet(path, types)

    def _write_table(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=max(table.num_rows, 1))


class ArrowWriter(TableWriter):
    """An Arrow file, which can be memory-mapped."""

    def _open(self, path: Path, types: pa.Schema) -> pa.RecordBatchFileWriter:
        return pa.ipc.new_file(path, types)

    def _write_table(self, table: pa.Table) -> None:
        self._writer.write_table(table)


def merge_parquet(parts: Sequence[Path], target: Path) -> None:
    """Concatenates Parquet files, row group by row group.

    Args:
        parts: The files, all with the same schema.
        target: The file to write.
    """
    with _open_parquet(target, pq.read_schema(parts[0])) as writer:
        for part in parts:
            with pq.ParquetFile(part) as file:
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group)
                    writer.write_table(table, row_group_size=max(table.num_rows, 1))


def merge_arrow(parts: Sequence[Path], target: Path) -> None:
    """Concatenates Arrow files.

    Args:
        parts: The files, all with the same schema.
        target: The file to write.
    """
    with pa.memory_map(str(parts[0])) as first:
        types = pa.ipc.open_file(first).schema
    with pa.ipc.new_file(target, types) as writer:
        for part in parts:
            with pa.memory_map(str(part)) as mapped:
                file = pa.ipc.open_file(mapped)
                for index in range(file.num_record_batches):
                    writer.write_batch(file.get_batch(index))


def _open_parquet(path: Path, types: pa.Schema) -> pq.ParquetWriter:
    plain = [field.name for field in types if not pa.types.is_fixed_size_list(field.type)]
    vectors = [f"{field.name}.list.element" for field in types if field.name not in plain]
    return pq.ParquetWriter(
        path,
        types,
        compression=dict.fromkeys(plain, "zstd") | dict.fromkeys(vectors, "none"),
        use_dictionary=plain,
        write_statistics=plain,
    )


def make_types(schema: Schema, columns: Mapping[str, Any]) -> pa.Schema:
    """Returns the Arrow schema of a file.

    Args:
        schema: The schema of all parts.
        columns: The columns of the first rows.

    Raises:
        ConfigError: If the values of a kept column have several types.
    """
    types: dict[str, pa.DataType] = {}
    for name, column in columns.items():
        if name in schema.samples:
            types[name] = _type_of(name, schema.samples[name])
        elif isinstance(column, np.ndarray):
            types[name] = pa.list_(pa.from_numpy_dtype(column.dtype), column.shape[1])
        else:
            types[name] = _ANSWER_TYPES[name]
    if schema.has_errors:
        types[ERROR] = pa.string()
    return pa.schema(types.items(), metadata=dict(schema.metadata))


def _type_of(name: str, sample: Any) -> pa.DataType:
    if not isinstance(sample, list):
        return sample.type
    try:
        found = pa.array(sample).type
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise ConfigError(
            f"the values of {name!r} are of several types: {error}",
            hint="leave the column out with --keep, or write .jsonl",
        ) from error
    return pa.string() if pa.types.is_null(found) else found


def make_table(types: pa.Schema, columns: Mapping[str, Any], errors: list[str | None]) -> pa.Table:
    """Makes a table of rows.

    Args:
        types: The Arrow schema.
        columns: The columns.
        errors: For each row the reason why it has no answer; ``None`` if it has one.

    Raises:
        ConfigError: If a value of a kept column does not have the type of the column.
    """
    arrays = []
    for field in types:
        if field.name == ERROR:
            arrays.append(pa.array(errors, pa.string()))
        elif isinstance(columns[field.name], np.ndarray):
            vectors = columns[field.name]
            mask = pa.array([error is not None for error in errors], pa.bool_()) if any(errors) else None
            arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), type=field.type, mask=mask))
        else:
            arrays.append(_to_array(field, columns[field.name]))
    return pa.Table.from_arrays(arrays, schema=types)


def _to_array(field: pa.Field, column: Any) -> pa.Array:
    try:
        return pa.array(column, field.type) if isinstance(column, list) else column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise ConfigError(
            f"{field.name!r} has the type {field.type} in the first rows, but another value later: {error}",
            hint="leave the column out with --keep, or write .jsonl",
        ) from error
