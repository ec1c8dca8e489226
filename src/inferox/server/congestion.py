"""Congestion control: limits the items of one model in progress, so that admitted requests finish in time."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from inferox.core import DeadlineExceededError, OverloadedError
from inferox.core.raising import raise_any

_CLOSES_BY = 0.9
"""The factor by which a late request shrinks the window."""

_SLOW = 0.9
"""The share of its time after which an answer counts as slow."""

_SHRINKS_BY, _OPENS_BY, _RETURNS_BY = 0.15, 0.02, 0.2
"""The number of items by which each item of a slow answer shrinks the window, and each other item widens it: by the
last number once no answer has been slow for long. The window settles where about one answer in eight is slow, so that
few are late."""

_CALM_ITEMS, _CALM_WINDOWS = 32, 4
"""The number of items, and of windows of them, without a slow answer after which the window widens quickly."""

_SMOOTHING = 0.1

_LATE = 0.99
"""The share of its time after which a request that was given up counts as late; two clock readings differ a little."""


@dataclass(frozen=True)
class _Before:
    """The state when a request arrived: the time, the items in progress, and the items answered so far."""

    began_s: float
    under_way: int
    answered: int


class Congestion:
    """A window on the items of one model in progress. To be used from one event loop.

    The engine estimates the wait in its queue, but not what a request waits for before and after it: when the CPU is
    overloaded, requests are admitted that expire half computed, and most of the work is lost. So the window follows the
    outcome of earlier requests. The first late request sets it to a little less than what came before that and itself,
    and every further one shrinks it, once for all requests in progress together: by a tenth, or more if it is far wider
    than that. Slow answers shrink it too, a little each, and the others widen it if it is in use: quickly once none has
    been slow for a while, as after a hang. Controlling a quantile of latency, and not losses alone as TCP does, keeps
    the window right where batches have few rows: there chance makes requests late however narrow it is. Until a request
    is late there is no limit.

    The window is for requests that may take the whole timeout. A request whose client allows only a part of it gets the
    same part of the window, and its outcome is scaled accordingly.

    Each owner may use an equal share, even if others fill the window. A request wider than the window is admitted if
    its owner has nothing else in progress. Refusals by the engine itself do not count: that a worker is being replaced
    says nothing about the capacity of the next one.

    Args:
        timeout_s: The time a request may take. Requests that were late with nothing ahead of them (the model may have
            hung) do not count, nor do those wider than half the window.
        clock: Returns the time, in seconds.
    """

    def __init__(self, timeout_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout_s = timeout_s
        self._clock = clock
        self._window = math.inf
        self._calm_items = 0
        self._closed_at_s = -math.inf
        self._under_way, self._total = Counter[str | None](), 0
        self._answered = 0
        self._answer_s = 0.0

    @property
    def window(self) -> float:
        """The number of items that may be in progress; infinite until a request is late."""
        return self._window

    @property
    def is_full(self) -> bool:
        """True if there is no room for one more item; owners that use less than their share still get theirs."""
        return self._total + 1 > self._window

    @contextmanager
    def admit(self, items: int, owner: str | None, allowed_s: float) -> Iterator[None]:
        """Admits a request for the duration of a block, which computes it.

        Args:
            items: The number of its items.
            owner: The owner on whose behalf it is made.
            allowed_s: The time it may take, at most the timeout.

        Raises:
            OverloadedError: If it would finish too late.
        """
        scale = self._timeout_s / allowed_s
        raise_any(self.find_refusal(owner, items, scale))
        before = _Before(self._clock(), self._total, self._answered)
        self._under_way[owner] += items
        self._total += items
        try:
            yield
        except DeadlineExceededError:
            self._note_late(items, before, allowed_s, scale)
            raise
        else:
            self._note_answer(items, before, scale)
        finally:
            self._total -= items
            self._under_way[owner] -= items
            if not self._under_way[owner]:
                del self._under_way[owner]

    def find_refusal(self, owner: str | None, items: int = 1, scale: float = 1.0) -> OverloadedError | None:
        """Returns the error with which a request would be refused now; ``None`` if it would be admitted.

        Args:
            owner: The owner on whose behalf it is made.
            items: The number of its items, if known. With the default of 1, the request might still be refused later.
            scale: The timeout divided by the time the request may take.
        """
        mine, window = self._under_way[owner], self._window / scale
        if not mine or self._total + items <= window:
            return None
        if mine + items <= window / len(self._under_way):
            return None
        return OverloadedError(
            f"{self._total} items are in progress, and more would finish too late", retry_after_s=self._answer_s
        )

    def _note_answer(self, items: int, before: _Before, scale: float) -> None:
        """Widens the window if it is in use, or shrinks it if the answer was slow because of others."""
        took_s = self._clock() - before.began_s
        self._answer_s += _SMOOTHING * (took_s - self._answer_s)
        if took_s * scale <= _SLOW * self._timeout_s:
            self._calm_items += items
            is_calm = self._calm_items > max(_CALM_ITEMS, _CALM_WINDOWS * self._window)
            if 2 * self._total * scale >= self._window:
                self._window += (_RETURNS_BY if is_calm else _OPENS_BY) * items * scale
        elif self._was_because_of_others(items, before, scale):
            self._calm_items = 0
            self._window -= _SHRINKS_BY * items * scale
        self._answered += items

    def _note_late(self, items: int, before: _Before, allowed_s: float, scale: float) -> None:
        """Shrinks the window, if a request that was given up was late because of others."""
        now_s = self._clock()
        is_late = now_s - before.began_s >= _LATE * allowed_s and before.began_s >= self._closed_at_s
        if is_late and self._was_because_of_others(items, before, scale):
            self._closed_at_s, self._answer_s = now_s, now_s - before.began_s
            self._calm_items = 0
            reached = (max(before.under_way, self._answered - before.answered) + items) * scale
            # A window that is not in use is too wide by more than a tenth, as after a client that allowed too little
            # time for any answer was the first to be late.
            self._window = _CLOSES_BY * (reached if math.isinf(self._window) else min(self._window, 2 * reached))

    def _was_because_of_others(self, items: int, before: _Before, scale: float) -> bool:
        """Returns whether a request may be slow or late because of others rather than its own number of items.

        The others are the items in progress when it arrived, or those that arrived later but were answered before it,
        such as requests of a higher priority. A request that does not fit into the window twice does not count, so the
        window never shrinks to much less than two of them.
        """
        has_others = before.under_way > 0 or self._answered > before.answered
        return has_others and 2 * items * scale <= self._window
