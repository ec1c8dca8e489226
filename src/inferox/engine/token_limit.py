"""The limit on a batch's tokens, learned where memory runs short."""

from __future__ import annotations

from threading import Lock

_GROWTH = 1.02
"""By how much the limit grows again with each batch that succeeds: twice as high after 35 of them."""


class TokenLimit:
    """The most tokens of a batch: what the engine is set to, or less after a batch for which memory was short.

    Args:
        tokens: The most tokens that it ever is.
    """

    def __init__(self, tokens: int) -> None:
        self._lock = Lock()
        self._most = tokens
        self._tokens = float(tokens)

    @property
    def tokens(self) -> int:
        """The most tokens of a batch now."""
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

    def raise_slowly(self) -> None:
        """Notes that a batch succeeded."""
        if self.is_lowered:
            with self._lock:
                self._tokens = min(self._tokens * _GROWTH, self._most)
