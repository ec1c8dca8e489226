"""Items that worker processes died of, by their content."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from threading import Lock
from typing import Any

from inferox.core import RequestError
from inferox.engine.workers.codec import encode
from inferox.engine.workers.messages import Done

_KEPT_S = 600.0
"""How long an item is refused: the next version of a runtime may compute it."""

_MOST = 10_000
"""How many items are remembered; the oldest are forgotten first."""


class Quarantine:
    """Items that are refused, because computing them alone ended a worker process. Several threads may use it.

    Args:
        clock: The time, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._until: dict[bytes, float] = {}

    def add(self, model: str, item: Any) -> None:
        """Takes an item in.

        Args:
            model: What identifies the model that it was meant for.
            item: The item.
        """
        with self._lock:
            self._until[_digest(model, item)] = self._clock() + _KEPT_S
            while len(self._until) > _MOST:
                del self._until[next(iter(self._until))]

    def refuse(self, model: str, items: Sequence[Any]) -> None:
        """Refuses items of which one is in quarantine.

        Args:
            model: What identifies the model that they are meant for.
            items: The items.

        Raises:
            RequestError: If there is one; ``item`` of the error says which is the first.
        """
        if not self._until:
            return
        with self._lock:
            now = self._clock()
            self._until = {digest: until for digest, until in self._until.items() if until > now}
            for index, item in enumerate(items):
                if self._until and _digest(model, item) in self._until:
                    raise refusal("computing it ended a worker process lately").at_item(index)


def refusal(reason: str) -> RequestError:
    """The error for an item that ends worker processes.

    Args:
        reason: What it did.
    """
    return RequestError(reason, hint="do not send it again: the runtime crashes on it")


def _digest(model: str, item: Any) -> bytes:
    digest = blake2b(model.encode(), digest_size=16)
    for piece in encode(Done(0, item)).pieces():
        digest.update(piece)
    return digest.digest()
