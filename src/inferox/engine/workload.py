"""The work that rows ask of a model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Workload(NamedTuple):
    """The work that some rows ask of a model, from which their price is computed.

    Attributes:
        rows: The rows.
        tokens: Their tokens.
        squares: The sum of the squares of their lengths, as attention computes pairs of tokens.
    """

    rows: int = 0
    tokens: int = 0
    squares: int = 0

    @classmethod
    def of_lengths(cls, lengths: Iterable[int]) -> Workload:
        """The workload of rows.

        Args:
            lengths: The tokens of each.
        """
        rows = tokens = squares = 0
        for length in lengths:
            rows, tokens, squares = rows + 1, tokens + length, squares + length * length
        return cls(rows, tokens, squares)

    def plus(self, other: Workload) -> Workload:
        """This and another together.

        Args:
            other: The other.
        """
        return Workload(self.rows + other.rows, self.tokens + other.tokens, self.squares + other.squares)

    def minus(self, other: Workload) -> Workload:
        """This without another, which is part of it.

        Args:
            other: The other.
        """
        return Workload(self.rows - other.rows, self.tokens - other.tokens, self.squares - other.squares)
