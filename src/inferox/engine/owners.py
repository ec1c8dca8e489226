"""The owners of requests, and what each has had."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from inferox.batching import Owner

_MOST_OWNERS = 1024
"""The number of owners that are remembered before those for whom nothing waits are forgotten."""


@dataclass(eq=False, slots=True)
class QueueOwner(Owner):
    """The share that an owner had.

    Attributes:
        clock: What its request had that was last given to a batch: those that come new start there.
        waiting: How many of its requests wait.
    """

    clock: float = 0.0
    waiting: int = 0


class Owners(dict[str | None, QueueOwner]):
    """The owners of requests, by name. Whoever calls this has the lock of the queue.

    Attributes:
        clock: What the owner had that was served last: those for whom nothing waited start there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = 0.0
        self._most = _MOST_OWNERS

    def forget(self) -> None:
        """Forgets all of them."""
        self.clear()
        self.clock = 0.0

    def welcome(self, name: str | None, now_s: float) -> QueueOwner:
        """The owner of a request that begins to wait.

        Args:
            name: Its name.
            now_s: The time.
        """
        if len(self) > self._most:
            for idle in [known for known, owner in self.items() if not owner.waiting]:
                del self[idle]
            self._most = max(_MOST_OWNERS, 2 * len(self))
        owner = self.get(name)
        if owner is None:
            owner = self[name] = QueueOwner(self.clock, now_s)
        elif not owner.waiting:
            owner.tokens, owner.since_s = max(owner.tokens, self.clock), now_s
        return owner

    def count_sharing(self, name: str | None) -> int:
        """Between how many requests the time is divided from the view of a new one, itself among them.

        Args:
            name: The name of its owner.
        """
        mine = self.get(name)
        others = sum(owner.waiting > 0 for owner in self.values() if owner is not mine)
        return (others + 1) * (1 + (mine.waiting if mine is not None else 0))

    def begin_batch(self, served: Iterable[tuple[str | None, float]]) -> None:
        """Puts the clocks where the one began that had least of those who are in a batch.

        Args:
            served: For each request in it, its owner, and how much the request had before.
        """
        least: dict[str | None, float] = {}
        for name, tokens in served:
            least[name] = min(tokens, least.get(name, tokens))
        self.clock = max(self.clock, min(self[name].tokens for name in least))
        for name, tokens in least.items():
            self[name].clock = max(self[name].clock, tokens)
