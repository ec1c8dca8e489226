"""The contract of a reader: the rows of one file, from start to end."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path

from inferox.bulk.rows import Rows
from inferox.core import Closing, RequestError


class Reader(Closing):
    """Reads the rows of one file, from start to end, with few of them in memory."""

    @property
    def rows(self) -> int | None:
        """The number of all rows; ``None`` if only reading the whole file would tell."""
        return None

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Returns the names of the columns; those of the first rows, if the file does not state them."""

    @abstractmethod
    def select(self, names: Sequence[str], *, is_all: bool) -> None:
        """Selects the columns to read. To be called before the first ``take``.

        Args:
            names: The columns.
            is_all: Whether there should be no others, so that a row with another is an error.

        Raises:
            RequestError: If the file has no such column.
        """

    def check_names(self, path: Path, names: Sequence[str], *, is_all: bool) -> None:
        """Checks that the file has each of the columns exactly once.

        Args:
            path: The file, for errors.
            names: The columns.
            is_all: Whether there should be no others.

        Raises:
            RequestError: If it does not.
        """
        own = self.names()
        for name in names:
            if own.count(name) != 1:
                has = f"{own.count(name)} columns {name!r}" if name in own else f"no column {name!r}"
                why = "; without --keep, all columns of the first file are kept" if is_all else ""
                raise RequestError(f"{path} has {has}", hint=f"it has {', '.join(own)}{why}")
        self.check_no_others(path, own if is_all else (), names)

    @staticmethod
    def check_no_others(path: Path, own: Iterable[str], names: Sequence[str]) -> None:
        """Checks that a file has no columns besides those of the first file.

        Args:
            path: The file, for errors.
            own: Its columns.
            names: The columns of the first file.

        Raises:
            RequestError: If it has.
        """
        other = next((name for name in own if name not in names), None)
        if other is not None:
            raise RequestError(
                f"{path} has the column {other!r}, which the first file does not have",
                hint="choose the columns to keep with --keep",
            )

    @abstractmethod
    def take(self, count: int) -> Rows:
        """Reads the next rows.

        Args:
            count: The number of rows; fewer are returned at the end of the file.

        Raises:
            RequestError: If the file cannot be read further.
        """

    @abstractmethod
    def skip(self, count: int) -> int:
        """Skips the next rows, without converting them.

        Args:
            count: The number of rows.

        Returns:
            The number of rows skipped: fewer at the end of the file.
        """

    @property
    @abstractmethod
    def position(self) -> float:
        """The share of the file that has been read, from 0 to 1."""
