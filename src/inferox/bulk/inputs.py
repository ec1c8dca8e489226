"""The input files, read as one, and their fingerprints."""

from __future__ import annotations

import glob
import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from inferox.bulk.readers import SUFFIXES, Reader, kind_of, open_reader
from inferox.bulk.rows import Rows, join_rows
from inferox.core import Closing, ConfigError, RequestError

_SAMPLED = 16
"""The number of places of a file that are sampled for its fingerprint."""

_SAMPLE_BYTES = 2**20


def find_files(patterns: Sequence[str]) -> list[Path]:
    """Finds the files of an input.

    Args:
        patterns: Files, folders, or patterns such as ``data/*.parquet``. Of a folder, all readable files are taken, in
            the order of their names.

    Raises:
        RequestError: If one of them matches no file.
    """
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file() and _is_readable(file))
        elif path.exists() or not glob.has_magic(pattern):
            files = [path] if path.is_file() else []
        else:
            files = sorted(file for file in _match(pattern) if file.is_file())
        if not files:
            raise RequestError(
                f"there is no file to read at {pattern!r}",
                hint=f"give files, folders or patterns: {', '.join(SUFFIXES)}",
            )
        found += files
    return found


def _match(pattern: str) -> Iterator[Path]:
    # Path.glob does not accept absolute patterns.
    return map(Path, glob.iglob(pattern, recursive=True))  # noqa: PTH207


def _is_readable(file: Path) -> bool:
    # Spark and others write files of their own beside the data, under such names.
    return not file.name.startswith((".", "_")) and kind_of(file) is not None


def fingerprint(file: Path) -> dict[str, Any]:
    """Returns the fingerprint of a file: its name, its size, and a digest of up to 16 pieces of 1 MiB.

    Args:
        file: The file. Up to 16 MiB it is read in full; of a larger one, pieces spread evenly over it are read.

    Raises:
        RequestError: If it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        size_bytes = file.stat().st_size
        with file.open("rb") as stream:
            last = max(size_bytes - _SAMPLE_BYTES, 0)
            for place in range(_SAMPLED):
                stream.seek(
                    place * last // (_SAMPLED - 1) if size_bytes > _SAMPLE_BYTES * _SAMPLED else place * _SAMPLE_BYTES
                )
                digest.update(stream.read(_SAMPLE_BYTES))
    except OSError as error:
        raise RequestError(f"{file} cannot be read: {error.strerror or error}") from error
    return {"name": file.name, "size": size_bytes, "sampled_sha256": digest.hexdigest()}


class Input(Closing):
    """The rows of several files, one file after the other.

    Args:
        files: The files; at least one.

    Raises:
        ConfigError: If a file has an unknown suffix.
        RequestError: If one cannot be opened.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = list(files)
        self._sizes = [file.stat().st_size for file in self._files]
        self._place = 0
        self._reader: Reader = open_reader(self._files[0])
        self._names: tuple[str, ...] = ()
        self._is_all = False
        self._row = 0
        self._first_rows = [0]

    def select(self, columns: Sequence[str], keep: Sequence[str] | None) -> tuple[str, ...]:
        """Selects the columns to read.

        Args:
            columns: The columns that items are made of.
            keep: The columns that are copied to the output; ``None`` for all of the first file.

        Returns:
            The columns that are copied to the output.

        Raises:
            ConfigError: If the first file lacks one of them.
            RequestError: If the first file has one of them more than once.
        """
        names = self._reader.names()
        kept = names if keep is None else tuple(dict.fromkeys(keep))
        for name in (*columns, *kept):
            if name not in names:
                raise ConfigError(f"{self._files[0].name} has no column {name!r}", hint=f"it has {', '.join(names)}")
        self._names, self._is_all = tuple(dict.fromkeys((*columns, *kept))), keep is None
        self._reader.select(self._names, is_all=self._is_all)
        return kept

    def count_rows(self) -> int | None:
        """Returns the number of all rows; ``None`` if a file does not state its own."""
        counts = []
        for file in self._files:
            with open_reader(file) as reader:
                if reader.rows is None:
                    return None
                counts.append(reader.rows)
        return sum(counts)

    def take(self, count: int) -> Rows:
        """Reads the next rows.

        Args:
            count: The number of rows; fewer are returned at the end of the last file.

        Raises:
            RequestError: If a file cannot be read.
        """
        blocks = [self._take(count)]
        while (left := count - sum(map(len, blocks))) and self._open_next():
            blocks.append(self._take(left))
        return join_rows([block for block in blocks if len(block)] or blocks[:1])

    def skip(self, count: int) -> int:
        """Skips the next rows.

        Args:
            count: The number of rows.

        Returns:
            The number of rows skipped: fewer at the end of the last file.
        """
        skipped = self._skip(count)
        while skipped < count and self._open_next():
            skipped += self._skip(count - skipped)
        return skipped

    def name_row(self, first: int, place: int) -> str:
        """Names a row that has been read: its number within its file, counted from 1, and the file.

        Args:
            first: The index of the first row of a window, among those of all files.
            place: The index of the row in that window.
        """
        row = first + place
        file = bisect_right(self._first_rows, row) - 1
        return f"row {row - self._first_rows[file] + 1:,} of {self._files[file].name}"

    @property
    def row(self) -> int:
        """The index of the next row among those of all files."""
        return self._row

    @property
    def position(self) -> float:
        """The share of all bytes that has been read, from 0 to 1."""
        done = sum(self._sizes[: self._place]) + self._reader.position * self._sizes[self._place]
        return done / max(sum(self._sizes), 1)

    def close(self) -> None:
        """Closes the open file."""
        self._reader.close()

    def _take(self, count: int) -> Rows:
        rows = self._reader.take(count)
        self._row += len(rows)
        return rows

    def _skip(self, count: int) -> int:
        skipped = self._reader.skip(count)
        self._row += skipped
        return skipped

    def _open_next(self) -> bool:
        if self._place + 1 == len(self._files):
            return False
        self._reader.close()
        self._place += 1
        self._first_rows.append(self._row)
        self._reader = open_reader(self._files[self._place])
        self._reader.select(self._names, is_all=self._is_all)
        return True
