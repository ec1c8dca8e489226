"""The contract of a writer: rows with their answers, into one file."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inferox.core import Closing

EMBEDDING = "embedding"
"""The name of the column of vectors."""

ERROR = "error"
"""The name of the column with the reason why a row has no answer."""

TRUNCATED = "truncated"
"""The name of the column that tells whether the text of a row was cut; null if the row has no answer."""


@dataclass(frozen=True)
class Schema:
    """The schema that all parts of an output share.

    Attributes:
        metadata: Metadata of a file, for formats that can store it.
        has_errors: Whether there is a column of errors.
    """

    metadata: Mapping[str, str] = field(default_factory=dict)
    has_errors: bool = True


class Writer(Closing):
    """Writes rows with their answers into one file, which is complete once it is closed."""

    @abstractmethod
    def write(self, columns: Mapping[str, Any], errors: list[str | None]) -> None:
        """Writes some rows.

        Args:
            columns: The columns; see ``Answered``.
            errors: For each row the reason why it has no answer; ``None`` if it has one.

        Raises:
            ConfigError: If a column does not have the type that the file states for it.
            OSError: If the file cannot be written.
        """
