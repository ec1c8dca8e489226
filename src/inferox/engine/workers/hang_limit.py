"""After how long a computation must be taken to hang, learned from those that did not."""

from __future__ import annotations

from threading import Lock

_FACTOR = 20.0
"""The factor on the slowest one so far, in proportion to its cost: machines are throttled and swap."""

_MEMORY = 0.98
"""The factor by which the slowest one fades with each that follows: a cold start is soon forgotten."""


class HangLimit:
    """After how long a computation of one model must be taken to hang. Several threads may use it.

    Args:
        least_s: The least that it says.
    """

    def __init__(self, least_s: float) -> None:
        self._least_s = least_s
        self._lock = Lock()
        self._slowest: float | None = None

    def find_s(self, cost: float) -> float | None:
        """The limit in seconds; ``None`` before the first success: a model may compile itself at first.

        Args:
            cost: What is computed, as ``BatchCost`` prices it.
        """
        return None if self._slowest is None else max(self._least_s, _FACTOR * self._slowest * cost)

    def learn(self, cost: float, seconds: float) -> None:
        """Takes a computation that came to an end into account.

        Args:
            cost: What was computed.
            seconds: How long it took.
        """
        with self._lock:
            self._slowest = max(seconds / cost, _MEMORY * (self._slowest or 0.0))
