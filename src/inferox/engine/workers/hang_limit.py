"""The time after which a computation counts as hung, learned from those that finished."""

from __future__ import annotations

from threading import Lock

_FACTOR = 20.0
"""The factor on the slowest one so far, in proportion to its cost: machines may be throttled, and may swap."""

_MEMORY = 0.98
"""The factor by which the slowest one decays with each that follows, so that a cold start is soon forgotten."""


class HangLimit:
    """The time after which a computation of one model counts as hung. Thread-safe.

    Args:
        least_s: The lower bound of the limit, in seconds.
    """

    def __init__(self, least_s: float) -> None:
        self._least_s = least_s
        self._lock = Lock()
        self._slowest: float | None = None

    def find_s(self, cost: float) -> float | None:
        """Finds the limit in seconds; ``None`` before the first success, as a model may compile itself at first.

        Args:
            cost: The cost of the computation, as from ``BatchCost``.
        """
        return None if self._slowest is None else max(self._least_s, _FACTOR * self._slowest * cost)

    def learn(self, cost: float, seconds: float) -> None:
        """Learns from a finished computation.

        Args:
            cost: The cost of the computation.
            seconds: The time that it took.
        """
        with self._lock:
            self._slowest = max(seconds / cost, _MEMORY * (self._slowest or 0.0))
