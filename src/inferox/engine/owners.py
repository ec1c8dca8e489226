"""The owners of requests, with the service that each has received."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from inferox.batching import Owner

_MOST_OWNERS = 1024
"""The number of owners that are remembered before those without waiting requests are forgotten."""


@dataclass(eq=False, slots=True)
class QueueOwner(Owner):
    """The service that an owner has received.

    Attributes:
        clock: The service that its most recently batched request had received: new requests start there.
        waiting: The number of its waiting requests.
    """

    clock: float = 0.0
    waiting: int = 0


class Owners(dict[str | None, QueueOwner]):
    """The owners of requests, by name. Callers must hold the queue's lock.

    Attributes:
        clock: The service that the most recently served owner had received: owners without waiting requests start
            there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = 0.0
        self._most = _MOST_OWNERS

    def forget(self) -> None:
        """Forgets all owners."""
        self.clear()
        self.clock = 0.0

    def welcome(self, name: str | None, now_s: float) -> QueueOwner:
        """Returns the owner of a request that begins to wait.

        Args:
            name: The name of the owner.
            now_s: The current time.
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
        """Returns the number of requests among which a new one would share the time, including itself.

        Args:
            name: The name of its owner.
        """
        mine = self.get(name)
        others = sum(owner.waiting > 0 for owner in self.values() if owner is not mine)
        return (others + 1) * (1 + (mine.waiting if mine is not None else 0))

    def begin_batch(self, served: Iterable[tuple[str | None, float]]) -> None:
        """Sets the clocks to the least service that any request or owner in a batch had received before it.

        Args:
            served: For each request in the batch, its owner, and the service that the request had received before.
        """
        least: dict[str | None, float] = {}
        for name, tokens in served:
            least[name] = min(tokens, least.get(name, tokens))
        self.clock = max(self.clock, min(self[name].tokens for name in least))
        for name, tokens in least.items():
            self[name].clock = max(self[name].clock, tokens)
