"""Parts of requests that wait for a worker."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from dataclasses import replace
from functools import cache

from inferox.engine.workers.pooled_request import Part


class WaitingParts:
    """Parts of requests that wait for a worker, ordered by priority and then by arrival.

    The pool's lock guards them.

    Args:
        max_tokens: The approximate number of tokens that may wait; if nothing waits, a part is always accepted.
    """

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._parts: list[Part] = []
        self._tokens = 0

    def has_room(self, part: Part) -> bool:
        """Returns whether a new part may wait.

        Args:
            part: The part.
        """
        return not self._tokens or self._tokens + part.tokens <= self._max_tokens

    def add(self, part: Part) -> None:
        """Adds a part.

        Args:
            part: The part.
        """
        insort(self._parts, replace(part, was_admitted=True), key=_turn)
        self._tokens += part.tokens

    def __bool__(self) -> bool:
        """Returns whether any part waits."""
        return bool(self._parts)

    def count(self, model: str) -> tuple[int, int]:
        """Counts the waiting rows of a model, and their approximate number of tokens.

        Args:
            model: The key of the model.
        """
        parts = [part for part in self._parts if part.request.model.key == model]
        return sum(len(part.rows) for part in parts), sum(part.tokens for part in parts)

    def take_all(self) -> list[Part]:
        """Removes and returns all parts, in the order in which workers must get them."""
        parts, self._parts, self._tokens = self._parts, [], 0
        return parts

    def take_first(self, can_go: Callable[[str], bool]) -> Part | None:
        """Removes and returns the next part; ``None`` if there is none.

        Args:
            can_go: Whether a worker can take a part of a model now, by the key of the model.
        """
        can_go = cache(can_go)
        for index, part in enumerate(self._parts):
            if can_go(part.request.model.key):
                self._tokens -= part.tokens
                return self._parts.pop(index)
        return None


def _turn(part: Part) -> tuple[int, float]:
    return part.request.options.priority, part.request.arrived_s
