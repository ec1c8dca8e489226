"""NumPy files of texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inferox.bulk.readers.lines import TEXT
from inferox.bulk.readers.reader import Reader
from inferox.bulk.rows import Rows
from inferox.core import RequestError


class ArrayReader(Reader):
    """A memory-mapped ``.npy`` file with an array of texts, which are in the column ``text``.

    Args:
        path: The file.

    Raises:
        OSError: If it cannot be opened.
        RequestError: If it does not hold a one-dimensional array of texts.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._array = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            if "objects" in str(error).lower():
                raise RequestError(
                    f"{path} holds Python objects, which are not read, as that would run code",
                    hint="save it as texts: np.save(path, array.astype(str))",
                ) from error
            raise RequestError(f"{path} is not a NumPy file of texts: {error}") from error
        if self._array.ndim != 1 or self._array.dtype.kind != "U":
            raise RequestError(
                f"{path} must be a one-dimensional array of texts, but is {self._array.dtype}, {self._array.ndim}-d",
                hint="np.array(texts) makes one of a list of strings",
            )
        self._done = 0

    @property
    def rows(self) -> int:
        """The number of all rows."""
        return len(self._array)

    def names(self) -> tuple[str, ...]:
        """Returns the only column."""
        return (TEXT,)

    def select(self, names: Sequence[str], *, is_all: bool) -> None:
        """Selects the columns to read; see ``Reader``."""
        self.check_names(self._path, names, is_all=is_all)
        self._names = tuple(names)

    def take(self, count: int) -> Rows:
        """Reads the next texts; see ``Reader``."""
        texts = self._array[self._done : self._done + count].tolist()
        self._done += len(texts)
        return Rows({name: list(texts) for name in self._names}, [None] * len(texts))

    def skip(self, count: int) -> int:
        """Skips the next texts; see ``Reader``."""
        skipped = min(count, self.rows - self._done)
        self._done += skipped
        return skipped

    @property
    def position(self) -> float:
        """The share of the texts that has been read; see ``Reader``."""
        return self._done / max(self.rows, 1)

    def close(self) -> None:
        """Releases the file."""
        del self._array
