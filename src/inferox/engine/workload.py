"""The amount of work in rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Workload(NamedTuple):
    """The amount of work in some rows, from which their cost is computed.

    Attributes:
        rows: The number of rows.
        tokens: The number of tokens.
        squares: The sum of the squared lengths, as attention computes pairs of tokens.
    """

    rows: int = 0
    tokens: int = 0
    squares: int = 0

    @classmethod
    def of_lengths(cls, lengths: Iterable[int]) -> Workload:
        """Computes the workload of rows.

        Args:
            lengths: The number of tokens of each row.
        """
        rows = tokens = squares = 0
        for length in lengths:
            rows, tokens, squares = rows + 1, tokens + length, squares + length * length
        return cls(rows, tokens, squares)

    def plus(self, other: Workload) -> Workload:
        """Adds another workload.

        Args:
            other: The other workload.
        """
        return Workload(self.rows + other.rows, self.tokens + other.tokens, self.squares + other.squares)

    def minus(self, other: Workload) -> Workload:
        """Subtracts another workload, which must be a part of this one.

        Args:
            other: The other workload.
        """
        return Workload(self.rows - other.rows, self.tokens - other.tokens, self.squares - other.squares)

    def scaled_to(self, rows: int) -> Workload:
        """Returns the workload of another number of rows that are alike on average.

        Args:
            rows: The number; this workload has at least one row.
        """
        return Workload(rows, self.tokens * rows // self.rows, self.squares * rows // self.rows)
