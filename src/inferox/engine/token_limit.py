"""The limit on a batch's tokens, which adapts to a lack of memory."""

from __future__ import annotations

from threading import Lock

_GROWTH = 1.02
"""The factor by which the limit grows again with each successful batch: it doubles after 35 of them."""


class TokenLimit:
    """The most tokens of a batch: the engine's setting, or less after a batch for which memory was short.

    Args:
        tokens: The upper bound of the limit.
    """

    def __init__(self, tokens: int) -> None:
        self._lock = Lock()
        self._most = tokens
        self._tokens = float(tokens)

    @property
    def tokens(self) -> int:
        """The current limit."""
        return int(self._tokens)

    @property
    def is_lowered(self) -> bool:
        """True if memory was short recently."""
        return self._tokens < self._most

    def lower(self, tokens: int) -> None:
        """Halves the limit.

        Args:
            tokens: The tokens of the batch for which memory was short.
        """
        with self._lock:
            self._tokens = max(1.0, min(self._tokens, tokens) / 2)

    def restore(self, tokens: int) -> None:
        """Restores the limit after a single row turned out to be the cause of what lowered it.

        Args:
            tokens: The limit before the batches with that row.
        """
        with self._lock:
            self._tokens = max(self._tokens, float(min(tokens, self._most)))

    def raise_slowly(self) -> None:
        """Raises the limit a little after a successful batch."""
        if self.is_lowered:
            with self._lock:
                self._tokens = min(self._tokens * _GROWTH, self._most)
