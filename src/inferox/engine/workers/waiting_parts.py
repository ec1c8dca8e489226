"""Parts of requests that wait for a worker."""

from __future__ import annotations

from dataclasses import replace

from inferox.engine.workers.pooled_request import Part


class WaitingParts:
    """Parts of requests that wait for a worker, as the highest priority comes first, and then who came first.

    The lock of the pool guards them.

    Args:
        max_tokens: About how many tokens may wait; what comes where nothing waits is taken in any case.
    """

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._parts: list[Part] = []
        self._tokens = 0

    def has_room(self, part: Part) -> bool:
        """Whether a new part may wait.

        Args:
            part: The part.
        """
        return not self._tokens or self._tokens + part.tokens <= self._max_tokens

    def add(self, part: Part) -> None:
        """Lets a part wait.

        Args:
            part: The part.
        """
        self._parts.append(replace(part, was_admitted=True))
        self._tokens += part.tokens

    def take_all(self) -> list[Part]:
        """Takes out all parts, in the order in which workers are to get them."""
        parts, self._parts, self._tokens = self._parts, [], 0
        return sorted(parts, key=lambda part: (part.request.options.priority, part.request.arrived_s))
