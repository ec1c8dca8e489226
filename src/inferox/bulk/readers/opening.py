"""Choosing the reader of a file by its suffix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from inferox.bulk.arrow_install import check_arrow
from inferox.bulk.readers.array_file import ArrayReader
from inferox.bulk.readers.delimited import DelimitedReader
from inferox.bulk.readers.lines import JsonReader, TextReader
from inferox.bulk.readers.reader import Reader
from inferox.core import ConfigError, RequestError


def _open_parquet(path: Path) -> Reader:
    check_arrow()
    from inferox.bulk.readers.arrow_files import ParquetReader

    return ParquetReader(path)


def _open_arrow(path: Path) -> Reader:
    check_arrow()
    from inferox.bulk.readers.arrow_files import ArrowReader

    return ArrowReader(path)


_READERS: dict[str, Callable[[Path], Reader]] = {
    ".parquet": _open_parquet,
    ".arrow": _open_arrow,
    ".feather": _open_arrow,
    ".jsonl": JsonReader,
    ".ndjson": JsonReader,
    ".csv": lambda path: DelimitedReader(path, ","),
    ".tsv": lambda path: DelimitedReader(path, "\t"),
    ".txt": TextReader,
    ".npy": ArrayReader,
}

_COMPRESSED = frozenset({".jsonl", ".ndjson", ".csv", ".tsv", ".txt"})
"""The suffixes of line-based files, which ``.gz`` may follow."""

SUFFIXES = tuple(_READERS)
"""The suffixes of readable files; ``.gz`` may follow those of line-based ones."""


def kind_of(path: Path) -> str | None:
    """Returns the suffix that determines the format of a file; ``None`` if it is not a readable one.

    Args:
        path: The file.
    """
    if path.suffix == ".gz":
        inner = Path(path.stem).suffix
        return inner if inner in _COMPRESSED else None
    return path.suffix if path.suffix in _READERS else None


def open_reader(path: Path) -> Reader:
    """Opens a file of rows.

    Args:
        path: The file, whose suffix determines its format.

    Raises:
        ConfigError: If the suffix is unknown, or reading it needs a library that is not installed.
        RequestError: If it cannot be opened.
    """
    kind = kind_of(path)
    if kind is None:
        raise ConfigError(f"the name of an input must end in {', '.join(SUFFIXES)}, but is {path.name!r}")
    try:
        return _READERS[kind](path)
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror or error}") from error
