"""One measurement: the time that a call of one size takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inferox.core import Fields, ManifestError, shown


@dataclass(frozen=True)
class Cell:
    """The size of a call with its measured time.

    Attributes:
        rows: The number of rows.
        length: The length of the longest row in tokens; 1 if rows have no length.
        seconds: The median time of a call.
        tokens: The number of tokens of all rows; by default as if each were as long as the longest.
        squares: The sum of their squared lengths; by default likewise.
    """

    rows: int
    length: int
    seconds: float
    tokens: int = 0
    squares: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", self.tokens or self.rows * self.length)
        object.__setattr__(self, "squares", self.squares or self.rows * self.length**2)

    def to_json(self) -> list[float]:
        """Returns the measurement as a profile stores it."""
        return [self.rows, self.length, self.seconds, self.tokens, self.squares]

    @classmethod
    def from_json(cls, data: Any) -> Cell:
        """Reads a measurement.

        Raises:
            ManifestError: If it is not a list of those numbers, all above 0.
        """
        names = ("rows", "length", "seconds", "tokens", "squares")
        if not isinstance(data, list) or len(data) != len(names):
            raise ManifestError(f"a cell of a profile must be a list of {', '.join(names)}, but is {shown(data)}")
        fields = Fields(dict(zip(names, data, strict=True)), "a cell of a profile")
        rows, length, tokens, squares = (fields.count(name) for name in names if name != "seconds")
        cell = cls(rows, length, fields.number("seconds"), tokens, squares)
        if min(data) <= 0:
            raise ManifestError(f"a cell of a profile must hold numbers above 0, but is {shown(data)}")
        return cell
