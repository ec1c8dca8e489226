"""How fast a model computes, learned while it does."""

from __future__ import annotations

from threading import Lock

_WEIGHT = 0.1
"""How much the newest batch counts for."""


class Throughput:
    """The tokens that a model computes in a second, as a moving average over its batches."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._tokens_per_s: float | None = None

    def learn(self, tokens: int, seconds: float) -> None:
        """Takes a batch into account.

        Args:
            tokens: Its tokens.
            seconds: How long it took.
        """
        found = tokens / max(seconds, 1e-6)
        with self._lock:
            known = found if self._tokens_per_s is None else self._tokens_per_s
            self._tokens_per_s = known + _WEIGHT * (found - known)

    def estimate_s(self, tokens: int) -> float | None:
        """The seconds that some tokens take; ``None`` before the first batch.

        Args:
            tokens: Their number.
        """
        return None if self._tokens_per_s is None else tokens / self._tokens_per_s
