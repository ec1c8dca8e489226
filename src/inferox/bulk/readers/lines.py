"""Files of lines: plain texts, and JSON."""

from __future__ import annotations

import codecs
import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from inferox.bulk.readers.text_file import TextFileReader
from inferox.bulk.rows import Rows
from inferox.core import RequestError

TEXT = "text"
"""The only column of files without column names."""

HEAD_ROWS = 1024
"""The number of rows of a JSON file whose keys determine the columns."""

_EXCERPT = 60


class LineReader(TextFileReader):
    """The lines of a file, each of which is a row.

    Args:
        path: The file, which may be compressed by gzip.

    Raises:
        OSError: If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._number = 0
        self._rows = self._read_rows()
        self._names: tuple[str, ...] = ()
        self._is_all = False

    def select(self, names: Sequence[str], *, is_all: bool) -> None:
        """Selects the columns to read; see ``Reader``."""
        self._names, self._is_all = tuple(names), is_all

    def take(self, count: int) -> Rows:
        """Reads the next lines; see ``Reader``."""
        columns: dict[str, list[Any]] = {name: [] for name in self._names}
        errors: list[str | None] = []
        for line in self._lines(count):
            try:
                values = self._read(line.decode("utf-8").rstrip("\r\n"))
                fault = self._find_fault(values)
                errors.append(None if fault is None else f"{self._where()} {fault}")
            except UnicodeDecodeError as error:
                values = {}
                errors.append(f"{self._where()} is not UTF-8: byte {error.start} is {line[error.start]:#04x}")
            except RowError as error:
                values = {}
                errors.append(f"{self._where()} {error}")
            for name, column in columns.items():
                column.append(values.get(name))
        return Rows(columns, errors)

    def skip(self, count: int) -> int:
        """Skips the next lines; see ``Reader``."""
        return sum(1 for _ in self._lines(count))

    @abstractmethod
    def _read(self, line: str) -> dict[str, Any]:
        """Parses a line to its values by column."""

    def _find_fault(self, values: dict[str, Any]) -> str | None:  # noqa: ARG002 - a text has no columns
        """Says what is wrong with a row that can be read; ``None`` if nothing is."""
        return None

    def _where(self) -> str:
        return f"line {self._number} of {self._path.name}"

    def _is_row(self, line: bytes) -> bool:  # noqa: ARG002 - an empty text is a row, too
        """Returns whether a line is a row."""
        return True

    def _read_rows(self) -> Iterator[bytes]:
        for line in self._stream:
            self._number += 1
            # Some editors on Windows begin a file with a byte order mark, which is not part of the text.
            text = line.removeprefix(codecs.BOM_UTF8) if self._number == 1 else line
            if self._is_row(text):
                yield text

    def _lines(self, count: int) -> Iterator[bytes]:
        try:
            yield from islice(self._rows, count)
        except (OSError, EOFError) as error:
            raise RequestError(f"{self._path} cannot be read: {error}") from error


class RowError(ValueError):
    """A row that cannot be read; the message continues a sentence that begins with the row."""


class TextReader(LineReader):
    """Lines of text, in the column ``text``."""

    def names(self) -> tuple[str, ...]:
        """Returns the only column."""
        return (TEXT,)

    def select(self, names: Sequence[str], *, is_all: bool) -> None:
        """Selects the columns to read; see ``Reader``."""
        self.check_names(self._path, names, is_all=is_all)
        super().select(names, is_all=is_all)

    def _read(self, line: str) -> dict[str, Any]:
        return {TEXT: line}


class JsonReader(LineReader):
    """Lines of JSON: objects whose keys are the columns, or strings, which are in the column ``text``.

    Blank lines are not rows.
    """

    def names(self) -> tuple[str, ...]:
        """Returns the keys of the first rows, in order of appearance; see ``Reader``."""
        return tuple(self._head_keys()) or (TEXT,)

    def select(self, names: Sequence[str], *, is_all: bool) -> None:
        """Selects the columns to read; see ``Reader``."""
        self.check_no_others(self._path, self._head_keys() if is_all else (), names)
        super().select(names, is_all=is_all)

    def _head_keys(self) -> dict[str, None]:
        found: dict[str, None] = {}
        with JsonReader(self._path) as head:
            for line in head._lines(HEAD_ROWS):
                try:
                    found |= dict.fromkeys(_parse(line.decode("utf-8", errors="replace")))
                except RowError:
                    continue  # reported when the row is read
        return found

    def _is_row(self, line: bytes) -> bool:
        """Returns whether a line has more than white space."""
        return not line.isspace()

    def _read(self, line: str) -> dict[str, Any]:
        return _parse(line)

    def _find_fault(self, values: dict[str, Any]) -> str | None:
        if not self._is_all or values.keys() <= set(self._names):
            return None
        other = next(name for name in values if name not in self._names)
        first = f"the first {HEAD_ROWS:,} rows of the first file"
        return f"has the key {other!r}, which {first} do not have; choose the columns with --keep"


def _parse(line: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RowError(f"is not JSON: {error}") from error
    # Only an escape can put a surrogate into a line that is UTF-8.
    if "\\ud" in line.lower() and (where := _find_surrogate(values)) is not None:
        raise RowError(f"has a lone surrogate: U+{where:04X}")
    if isinstance(values, str):
        return {TEXT: values}
    if not isinstance(values, dict):
        shown = line if len(line) <= _EXCERPT else line[: _EXCERPT - 1] + "…"
        raise RowError(f"must be a JSON object or string, but is {shown}")
    return values


def _find_surrogate(values: Any) -> int | None:
    try:
        json.dumps(values, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        return ord(error.object[error.start])
    return None
