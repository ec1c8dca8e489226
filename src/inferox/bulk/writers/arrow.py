"""Parquet and Arrow files, and the types of their columns."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from inferox.bulk.rows import Column, to_list
from inferox.bulk.writers.writer import EMBEDDING, ERROR, TRUNCATED, Schema, Writer
from inferox.core import ConfigError, shown

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

_MISFITS = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError)
"""The exceptions of pyarrow for a value that does not fit a type; the last for an integer that is too large."""


class TableWriter(Writer):
    """Writes tables whose types are determined by the first rows. Vectors are lists; see ``make_types``.

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
    plain = [name for name in types.names if name != EMBEDDING]
    vectors = [f"{name}.list.element" for name in types.names if name == EMBEDDING]
    return pq.ParquetWriter(
        path,
        types,
        compression=dict.fromkeys(plain, "zstd") | dict.fromkeys(vectors, "none"),
        use_dictionary=plain,
        write_statistics=plain,
    )


def make_types(schema: Schema, columns: Mapping[str, Any]) -> pa.Schema:
    """Returns the Arrow schema of a file.

    Vectors are lists whose type does not state their length: rows without an answer have none, and pyarrow before 26
    can neither write nor read a Parquet file in which some vectors of a stated length are missing.

    Args:
        schema: The schema of all parts.
        columns: The columns of the first rows; those kept are pyarrow arrays.
    """
    types: dict[str, pa.DataType] = {}
    for name, column in columns.items():
        if isinstance(column, pa.Array):
            types[name] = column.type
        elif isinstance(column, np.ndarray):
            types[name] = pa.list_(pa.from_numpy_dtype(column.dtype))
        else:
            types[name] = _ANSWER_TYPES[name]
    if schema.has_errors:
        types[ERROR] = pa.string()
    return pa.schema(types.items(), metadata=dict(schema.metadata))


def column_type(name: str, sample: Column) -> pa.DataType:
    """Returns the type of a column: that of most values, if they are of several.

    Args:
        name: The name of the column.
        sample: Some of its values, or an array of its type.

    Raises:
        ConfigError: If no value has a type.
    """
    if not isinstance(sample, list):
        return sample.type
    try:
        found = pa.array(sample).type
    except _MISFITS:
        kinds = Counter(kind for value in sample if (kind := _type_alone(value)) is not None)
        if not kinds:
            example = next(value for value in sample if value is not None)
            raise ConfigError(
                f"no value of {name!r} has a type that the file can hold, such as {shown(example)}",
                hint="leave the column out with --keep, or write .jsonl",
            ) from None
        found = kinds.most_common(1)[0][0]
    return pa.string() if pa.types.is_null(found) else found


def fit_column(column: Column, kind: pa.DataType) -> tuple[pa.Array, dict[int, Any]]:
    """Converts a column to a type, with null for each value that does not fit.

    Args:
        column: A list, or a pyarrow array.
        kind: The type.

    Returns:
        The array, and the values that do not fit, by their places.
    """
    if isinstance(column, pa.Array) and column.type == kind:
        return column, {}
    values = to_list(column)
    try:
        array = _convert(column, kind)
    except _MISFITS:
        strange = {place: value for place, value in enumerate(values) if not _fits(value, kind)}
    else:
        written = zip(array.to_pylist(), values, strict=True)
        strange = {place: value for place, (held, value) in enumerate(written) if not _holds_all(held, value)}
        if not strange:
            return array, {}
    return pa.array([None if place in strange else value for place, value in enumerate(values)], kind), strange


def _convert(column: Column, kind: pa.DataType) -> pa.Array:
    return pa.array(column, kind) if isinstance(column, list) else column.cast(kind)


def _fits(value: Any, kind: pa.DataType) -> bool:
    try:
        return _holds_all(pa.array([value], kind)[0].as_py(), value)
    except _MISFITS:
        return False


def _holds_all(held: Any, value: Any) -> bool:
    """Returns whether a column holds a value as it is: pyarrow cuts fractions off, drops keys, and takes True for 1."""
    if isinstance(held, dict) and isinstance(value, dict):
        return all(_holds_all(held.get(name), item) for name, item in value.items())
    if isinstance(held, list) and isinstance(value, list):
        return all(map(_holds_all, held, value))
    if isinstance(held, float) and isinstance(value, float) and math.isnan(value):
        return math.isnan(held)
    return bool(held == value) and isinstance(held, bool) == isinstance(value, bool)


def _type_alone(value: Any) -> pa.DataType | None:
    try:
        kind = pa.array([value]).type
    except _MISFITS:
        return None
    return None if pa.types.is_null(kind) else kind


def make_table(types: pa.Schema, columns: Mapping[str, Any], errors: list[str | None]) -> pa.Table:
    """Makes a table of rows.

    Args:
        types: The Arrow schema.
        columns: The columns, whose values fit the types.
        errors: For each row the reason why it has no answer; ``None`` if it has one.
    """
    arrays = []
    for field in types:
        if field.name == ERROR:
            arrays.append(pa.array(errors, pa.string()))
        elif isinstance(columns[field.name], np.ndarray):
            arrays.append(_list_vectors(columns[field.name], errors, field.type))
        else:
            arrays.append(_convert(columns[field.name], field.type))
    return pa.Table.from_arrays(arrays, schema=types)


def _list_vectors(vectors: npt.NDArray[Any], errors: Sequence[str | None], kind: pa.DataType) -> pa.Array:
    """Makes a list of each vector, null where there is an error. Nulls take no values, as Parquet requires."""
    has_answer = np.array([error is None for error in errors], dtype=np.bool_)
    ends = np.cumsum(has_answer, dtype=np.int64) * vectors.shape[1]
    return pa.ListArray.from_arrays(
        pa.array(np.concatenate([[0], ends]), pa.int32()),
        pa.array(vectors[has_answer].ravel()),
        type=kind,
        mask=pa.array(~has_answer),
    )
