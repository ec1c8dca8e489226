"""Text files, which may be compressed."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import BinaryIO, cast

from inferox.bulk.readers.reader import Reader


class TextFileReader(Reader):
    """A reader of a text file.

    Args:
        path: The file, which may be compressed by gzip.

    Raises:
        OSError: If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size_bytes = max(path.stat().st_size, 1)
        # The file on disk, whose position tells how much has been read, and the decompressed stream.
        self._raw = path.open("rb")
        self._stream = cast("BinaryIO", gzip.GzipFile(fileobj=self._raw)) if path.suffix == ".gz" else self._raw

    @property
    def position(self) -> float:
        """The share of the file that has been read; see ``Reader``."""
        return min(1.0, self._raw.tell() / self._size_bytes)

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()
        self._raw.close()
