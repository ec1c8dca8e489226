"""Parquet and Arrow files, whose columns keep their types."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from inferox.bulk.readers.reader import Reader
from inferox.bulk.rows import Rows
from inferox.core import RequestError

_READ_ROWS = 1024
_BUFFER_BYTES = 2**20


class BatchReader(Reader):
    """A reader of files that are read in record batches.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: list[str] = []
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._left: pa.RecordBatch | None = None
        self._done = 0

    @property
    @abstractmethod
    def _schema(self) -> pa.Schema: ...

    @property
    @abstractmethod
    def rows(self) -> int:
        """The number of all rows."""

    @abstractmethod
    def _read_batches(self, skip: int) -> tuple[Iterator[pa.RecordBatch], int]:
        """Returns batches from a row on, as far as whole pieces of the file can be skipped, and the rest to skip."""

    def names(self) -> tuple[str, ...]:
        """Returns the names of the columns."""
        return tuple(self._schema.names)

    def select(self, names: Sequence[str], *, is_all: bool) -> None:
        """Selects the columns to read; see ``Reader``."""
        self.check_names(self._path, names, is_all=is_all)
        self._names = list(names)

    def take(self, count: int) -> Rows:
        """Reads the next rows; see ``Reader``."""
        parts: list[pa.RecordBatch] = []
        left = count
        try:
            while left and (batch := self._next()) is not None:
                parts.append(batch.slice(0, left))
                self._left = batch.slice(left) if batch.num_rows > left else None
                left -= parts[-1].num_rows
        except (pa.ArrowException, OSError) as error:
            raise RequestError(f"{self._path} cannot be read after row {self._done}: {error}") from error
        self._done += count - left
        schema = pa.schema([self._schema.field(name) for name in self._names])
        # A table without columns has no rows either, so the rows are counted separately.
        table = pa.Table.from_batches([part.select(self._names) for part in parts], schema).combine_chunks()
        columns = {name: _whole(table.column(name)) for name in self._names}
        return Rows(columns, [None] * (count - left))

    def skip(self, count: int) -> int:
        """Skips the next rows, without reading pieces of the file that can be skipped as a whole. See ``Reader``."""
        skipped = min(count, self.rows - self._done)
        self._done += skipped
        self._batches = self._left = None
        return skipped

    @property
    def position(self) -> float:
        """The share of the rows that has been read; see ``Reader``."""
        return self._done / max(self.rows, 1)

    def _next(self) -> pa.RecordBatch | None:
        if self._left is not None:
            return self._left
        if self._batches is None:
            self._batches, more = self._read_batches(self._done)
            while more:
                batch = next(self._batches)
                if batch.num_rows > more:
                    return batch.slice(more)
                more -= batch.num_rows
        return next(self._batches, None)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


class ParquetReader(BatchReader):
    """A Parquet file, read in pieces of its row groups.

    Args:
        path: The file.

    Raises:
        RequestError: If it is not a Parquet file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._file = pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        except pa.ArrowException as error:
            raise RequestError(f"{path} is not a Parquet file: {error}") from error

    @property
    def _schema(self) -> pa.Schema:
        return self._file.schema_arrow

    @property
    def rows(self) -> int:
        """The number of all rows."""
        rows: int = self._file.metadata.num_rows
        return rows

    def _read_batches(self, skip: int) -> tuple[Iterator[pa.RecordBatch], int]:
        groups = self._file.metadata.num_row_groups
        first = 0
        while first < groups and (rows := self._file.metadata.row_group(first).num_rows) <= skip:
            skip, first = skip - rows, first + 1
        if first == groups:  # not all versions of pyarrow can read no group
            return iter(()), skip
        return self._file.iter_batches(_READ_ROWS, list(range(first, groups)), self._names), skip

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class ArrowReader(BatchReader):
    """A memory-mapped Arrow file (Feather), or an Arrow stream, as libraries of datasets write them.

    Args:
        path: The file.

    Raises:
        RequestError: If it is neither.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._map = pa.memory_map(str(path))
        try:
            self._types, self._iterate = _open_batches(self._map)
            self._rows: int = sum(batch.num_rows for batch in self._iterate())
        except pa.ArrowException as error:
            self._map.close()
            raise RequestError(
                f"{path} is neither an Arrow file nor an Arrow stream: {error}",
                hint="write it with pyarrow.ipc.new_file, or as Parquet",
            ) from error

    @property
    def _schema(self) -> pa.Schema:
        return self._types

    @property
    def rows(self) -> int:
        """The number of all rows."""
        return self._rows

    def _read_batches(self, skip: int) -> tuple[Iterator[pa.RecordBatch], int]:
        return self._iterate(), skip

    def close(self) -> None:
        """Closes the file."""
        self._map.close()


def _open_batches(memory: pa.MemoryMappedFile) -> tuple[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]]:
    """Returns the schema, and a function that iterates over all batches from the first one on."""

    def open_stream() -> pa.RecordBatchStreamReader:
        memory.seek(0)
        return pa.ipc.open_stream(memory)

    try:
        file = pa.ipc.open_file(memory)
    except pa.ArrowException:
        return open_stream().schema, lambda: iter(open_stream())
    return file.schema, lambda: map(file.get_batch, range(file.num_record_batches))
