"""The contract of a reader: the rows of one file, from its front."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from inferox.bulk.rows import Rows
from inferox.core import Closing, RequestError


class Reader(Closing):
    """The rows of one file, from its front. It holds few of them at a time."""

    @property
    def rows(self) -> int | None:
        """The number of all rows, where the file states it; ``None`` where only reading it would tell."""
        return None

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The names of the columns; of a file that does not state them those of its first rows."""

    @abstractmethod
    def select(self, names: Sequence[str], *, is_all: bool) -> None:
        """Says which columns are read. It comes before the first row is taken.

        Args:
            names: The columns.
            is_all: Whether those are all that there should be, so that a row with another is an error.

        Raises:
            RequestError: If the file has no such column.
        """

    def check_names(self, path: Path, names: Sequence[str], *, is_all: bool) -> None:
        """Checks that the file has the columns that are read, each once.

        Args:
            path: The file, for errors.
            names: The columns.
            is_all: Whether those are all that there should be.

        Raises:
            RequestError: If it does not.
        """
        own = self.names()
        for name in names:
            if own.count(name) != 1:
                has = f"{own.count(name)} columns {name!r}" if name in own else f"no column {name!r}"
                raise RequestError(f"{path} has {has}", hint=f"it has {', '.join(own)}")
        other = next((name for name in own if name not in names), None)
        if is_all and other is not None:
            raise RequestError(
                f"{path} has the column {other!r}, which the first file does not have",
                hint="say which columns are kept with --keep",
            )

    @abstractmethod
    def take(self, count: int) -> Rows:
        """Reads the next rows.

        Args:
            count: How many; fewer come at the end of the file.

        Raises:
            RequestError: If the file cannot be read on.
        """

    @abstractmethod
    def skip(self, count: int) -> int:
        """Goes past the next rows without making anything of them.

        Args:
            count: How many.

        Returns:
            How many there were: fewer at the end of the file.
        """

    @property
    @abstractmethod
    def position(self) -> float:
        """The share of the file that is read, from 0 to 1."""
