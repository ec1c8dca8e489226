"""One measurement: the time that a batch of one shape takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inferox.core import Fields, ManifestError, shown


@dataclass(frozen=True)
class Cell:
    """A batch shape with its measured time.

    Attributes:
        rows: The number of rows.
        length: The length of the longest row in tokens; 1 if rows have no length.
        seconds: The median time of a call.
        tokens: The number of tokens of all rows; those of rows that are all of that length unless another is given.
    """

    rows: int
    length: int
    seconds: float
    tokens: int = 0

    def __post_init__(self) -> None:
        if not self.tokens:
            object.__setattr__(self, "tokens", self.rows * self.length)

    def to_json(self) -> list[float]:
        """Returns the measurement as a profile stores it."""
        return [self.rows, self.length, self.seconds, self.tokens]

    @classmethod
    def from_json(cls, data: Any) -> Cell:
        """Reads a measurement.

        Raises:
            ManifestError: If it is not a list of rows, length, seconds and tokens, all above 0.
        """
        names = ("rows", "length", "seconds", "tokens")
        if not isinstance(data, list) or len(data) != len(names):
            raise ManifestError(f"a cell of a profile must be a list of {', '.join(names)}, but is {shown(data)}")
        fields = Fields(dict(zip(names, data, strict=True)), "a cell of a profile")
        cell = cls(fields.count("rows"), fields.count("length"), fields.number("seconds"), fields.count("tokens"))
        if min(data) <= 0:
            raise ManifestError(f"a cell of a profile must hold numbers above 0, but is {shown(data)}")
        return cell
