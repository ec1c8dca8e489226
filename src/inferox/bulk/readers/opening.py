"""Which reader a file needs, by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from inferox.bulk.readers.lines import JsonReader, TextReader
from inferox.bulk.readers.reader import Reader
from inferox.core import ConfigError, RequestError

_READERS: dict[str, Callable[[Path], Reader]] = {
    ".txt": TextReader,
    ".jsonl": JsonReader,
    ".ndjson": JsonReader,
}

SUFFIXES = tuple(_READERS)
"""How the names of files end that can be read; ``.gz`` may follow after those of lines."""


def open_reader(path: Path) -> Reader:
    """Opens a file of rows.

    Args:
        path: The file, whose name says what it is.

    Raises:
        ConfigError: If its name does not say so.
        RequestError: If it cannot be opened.
    """
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if suffix not in _READERS:
        raise ConfigError(f"the name of an input must end in {', '.join(SUFFIXES)}, but is {path.name!r}")
    try:
        return _READERS[suffix](path)
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror or error}") from error
