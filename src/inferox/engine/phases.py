"""The times at which a request passed the steps of an engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Phases(NamedTuple):
    """The times at which a request passed the steps of an engine, on the clock of ``time.monotonic``.

    Attributes:
        rows_began_s: When the making of its rows began; for texts that is to tokenise them.
        rows_ended_s: When they were made, and began to wait.
        compute_began_s: When the first of them was computed.
        compute_ended_s: When the last was; as ``compute_began_s`` where nothing had to be computed.
    """

    rows_began_s: float
    rows_ended_s: float
    compute_began_s: float
    compute_ended_s: float

    @classmethod
    def spanning(cls, parts: Iterable[Phases]) -> Phases:
        """The phases of a request that was computed in parts: each from where the first begins to where the last ends.

        Args:
            parts: The phases of its parts.
        """
        rows_began, rows_ended, compute_began, compute_ended = zip(*parts, strict=True)
        return cls(min(rows_began), max(rows_ended), min(compute_began), max(compute_ended))
