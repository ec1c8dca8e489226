"""CSV and TSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from inferox.bulk.readers.text_file import TextFileReader
from inferox.bulk.rows import Rows
from inferox.core import RequestError, counted
from inferox.tasks.texts import MAX_TEXT_CHARACTERS


class DelimitedReader(TextFileReader):
    """Delimited rows of text with a header; a quoted value may hold line breaks. All values are strings.

    Args:
        path: The file, which may be compressed by gzip.
        delimiter: The delimiter between values.

    Raises:
        OSError: If it cannot be opened.
        RequestError: If it has no header.
    """

    def __init__(self, path: Path, delimiter: str) -> None:
        super().__init__(path)
        # Invalid UTF-8 becomes lone surrogates, for which the row is refused. Values may contain line breaks of any
        # kind, which the csv module must see unchanged.
        text = io.TextIOWrapper(self._stream, "utf-8-sig", errors="surrogateescape", newline="")
        # A field may be as long as a text; the limit applies to the whole process.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_TEXT_CHARACTERS))
        self._csv = csv.reader(text, delimiter=delimiter, strict=True)
        header = next(self._rows(1), None)
        if header is None:
            self.close()
            raise RequestError(f"{path} has no header", hint="the first line must name the columns")
        self._header: list[str] = header
        self._places: dict[str, int] = {}

    def names(self) -> tuple[str, ...]:
        """Returns the names in the header."""
        return tuple(self._header)

    def select(self, names: Sequence[str], *, is_all: bool) -> None:
        """Selects the columns to read; see ``Reader``."""
        self.check_names(self._path, names, is_all=is_all)
        self._places = {name: self._header.index(name) for name in names}

    def take(self, count: int) -> Rows:
        """Reads the next rows; see ``Reader``."""
        columns: dict[str, list[Any]] = {name: [] for name in self._places}
        errors: list[str | None] = []
        for row in self._rows(count):
            error = self._find_error(row)
            errors.append(error)
            for name, place in self._places.items():
                columns[name].append(row[place] if error is None else None)
        return Rows(columns, errors)

    def skip(self, count: int) -> int:
        """Skips the next rows; see ``Reader``."""
        return sum(1 for _ in self._rows(count))

    def _find_error(self, row: list[str]) -> str | None:
        where = f"the row that ends in line {self._csv.line_num} of {self._path.name}"
        if len(row) != len(self._header):
            return f"{where} has {counted(len(row), 'value')}, but the header has {len(self._header)}"
        if not all(map(_is_unicode, row)):
            return f"{where} is not UTF-8"
        return None

    def _rows(self, count: int) -> Iterator[list[str]]:
        try:
            # The csv module returns an empty list for an empty line, which is not a row.
            yield from islice((row for row in self._csv if row), count)
        except (OSError, EOFError, csv.Error) as error:
            raise RequestError(
                f"{self._path} cannot be read after line {self._csv.line_num}: {error}",
                hint="quote values that hold a quote, a delimiter or a line break",
            ) from error


def _is_unicode(value: str) -> bool:
    if value.isascii():
        return True
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
