"""The quarantine of items that worker processes died of, by their content."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b
from threading import Lock
from typing import Any

from inferox.core import RequestError
from inferox.engine.workers.codec import encode
from inferox.engine.workers.messages import Done

_KEPT_S = 600.0
"""The time for which an item is refused: a later version of the runtime may be able to compute it."""

_MOST = 10_000
"""The number of items that are remembered; the oldest are forgotten first."""


class Quarantine:
    """Items that are refused, because computing them alone ended a worker process. Thread-safe.

    Args:
        clock: The clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._until: dict[bytes, float] = {}
        self._added = Counter[str]()

    def add(self, model: str, item: Any) -> None:
        """Adds an item.

        Args:
            model: The key of the model that it was meant for.
            item: The item.
        """
        digest = digest_item(model, item)
        if digest is None:
            return
        with self._lock:
            now = self._clock()
            self._added[model] += self._until.pop(digest, now) <= now  # popped so that it is added as the last
            self._until[digest] = now + _KEPT_S
            while len(self._until) > _MOST:
                del self._until[next(iter(self._until))]

    def count_added(self, model: str) -> int:
        """Counts the items of a model that were added so far, including forgotten ones.

        Args:
            model: The key of the model.
        """
        return self._added[model]

    def refuse(self, model: str, items: Sequence[Any]) -> None:
        """Refuses items if one of them is in quarantine.

        Args:
            model: The key of the model that they are meant for.
            items: The items.

        Raises:
            RequestError: If one is in quarantine; the error's ``item`` is the index of the first.
        """
        if not self._until:
            return
        digests = [digest_item(model, item) for item in items]
        with self._lock:
            now = self._clock()
            for index, digest in enumerate(digests):
                if digest is not None and self._until.get(digest, now) > now:
                    raise refusal("computing it ended a worker process recently").at_item(index)
            while self._until and (oldest := next(iter(self._until))) and self._until[oldest] <= now:
                del self._until[oldest]


def refusal(reason: str) -> RequestError:
    """Makes the error for an item that ends worker processes.

    Args:
        reason: What the item did.
    """
    return RequestError(reason, hint="do not send it again: the runtime crashes on it")


def digest_item(model: str, item: Any) -> bytes | None:
    """Computes a digest of an item, the same for equal items; ``None`` if it cannot be sent to a worker at all.

    Args:
        model: The key of the model that it is meant for.
        item: The item.
    """
    digest = blake2b(model.encode(errors="surrogatepass"), digest_size=16)
    try:
        pieces = encode(Done(0, item)).pieces()
    except (TypeError, ValueError, OverflowError, BufferError):
        return None
    for piece in pieces:
        digest.update(piece)
    return digest.digest()
