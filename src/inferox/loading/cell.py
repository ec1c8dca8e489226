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
        length: The length of each row in tokens; 1 if rows have no length.
        seconds: The median time of a call.
    """

    rows: int
    length: int
    seconds: float

    def to_json(self) -> list[float]:
        """Returns the measurement as a profile stores it."""
        return [self.rows, self.length, self.seconds]

    @classmethod
    def from_json(cls, data: Any) -> Cell:
        """Reads a measurement.

        Raises:
            ManifestError: If it is not a list of rows, length and seconds, all above 0.
        """
        if not isinstance(data, list) or len(data) != 3:  # noqa: PLR2004 - the three fields
            raise ManifestError(f"a cell of a profile must be a list of rows, length and seconds, but is {shown(data)}")
        fields = Fields(dict(zip(("rows", "length", "seconds"), data, strict=True)), "a cell of a profile")
        cell = cls(fields.count("rows"), fields.count("length"), fields.number("seconds"))
        if cell.rows < 1 or cell.length < 1 or cell.seconds <= 0:
            raise ManifestError(f"a cell of a profile must hold numbers above 0, but is {shown(data)}")
        return cell
