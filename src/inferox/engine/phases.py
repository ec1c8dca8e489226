"""The times at which a request passed through the steps of an engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Phases(NamedTuple):
    """The times at which a request passed through the steps of an engine, on the clock of ``time.monotonic``.

    Attributes:
        rows_began_s: When its encoding began; for texts, that is tokenisation.
        rows_ended_s: When its rows were encoded, and began to wait.
        compute_began_s: When the first row began to be computed.
        compute_ended_s: When the last row was computed; equal to ``compute_began_s`` if nothing had to be computed.
    """

    rows_began_s: float
    rows_ended_s: float
    compute_began_s: float
    compute_ended_s: float

    @classmethod
    def spanning(cls, parts: Iterable[Phases]) -> Phases:
        """Combines the phases of a request that was computed in parts: each from the first begin to the last end.

        Args:
            parts: The phases of its parts.
        """
        rows_began, rows_ended, compute_began, compute_ended = zip(*parts, strict=True)
        return cls(min(rows_began), max(rows_ended), min(compute_began), max(compute_ended))
