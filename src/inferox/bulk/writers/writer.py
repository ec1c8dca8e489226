"""The contract of a writer: rows with their answers, into one file."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inferox.bulk.rows import Column
from inferox.core import Closing

ERROR = "error"
"""The name of the column that says why a row has no answer."""

TRUNCATED = "truncated"
"""The name of the column that says whether the text of a row was cut; null where it has no answer."""


@dataclass(frozen=True)
class Schema:
    """What all parts of an output have in common.

    Attributes:
        samples: Some values of each kept column, or its type in pyarrow, by which the types of a file are decided.
        metadata: What a file says about itself where its format has a place for that.
        has_errors: Whether there is a column of errors.
    """

    samples: Mapping[str, Column]
    metadata: Mapping[str, str] = field(default_factory=dict)
    has_errors: bool = True


class Writer(Closing):
    """Writes rows with their answers into one file, which is complete once it is closed."""

    @abstractmethod
    def write(self, columns: Mapping[str, Any], errors: list[str | None]) -> None:
        """Writes some rows.

        Args:
            columns: The columns as ``Answered`` has them.
            errors: For each row why it has no answer; ``None`` where it has one.

        Raises:
            ConfigError: If a column does not have the type that the file states for it.
            OSError: If the file cannot be written.
        """
