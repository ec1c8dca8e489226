"""How much of one model may be under way, so that what is taken in is answered in time."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from inferox.core import DeadlineExceededError, OverloadedError

_LEAST_ITEMS = 4.0
"""The window never closes further, or a few requests that came late would shut everybody out."""

_CLOSES_BY, _OPENS_BY, _RETURNS_BY = 0.9, 0.01, 0.1
"""What is left of the window after a request that came too late, how much wider each item in time makes it, and how
much while it is still far from as wide as when it was last too wide."""

_SMOOTHING = 0.1

_LATE = 0.99
"""What part of the time that a request may take has passed where it was given up for that; clocks are read in turn."""


class Congestion:
    """A window of items that one model may have under way. One event loop uses it.

    The engine estimates what waits for it, but not what a request waits for before and after: where the processor has
    more to do than it can, requests are taken in that expire when they are half computed, and most of the work is lost.
    So what counts here is what became of the requests before. One that came too late closes the window to a little less
    than what came before it, once for all requests that were under way together; each that is in time opens it again,
    where it is used, at first quickly. It is TCP's control of congestion (Jacobson, 1988), slow start included, with
    Scalable TCP's increase (Kelly, 2003), which is in proportion to the window. Until a request is late there is no
    limit.

    Each owner may use an equal share, also where others fill the window. A request that is wider than the window is
    taken in when nothing else of its owner is under way. What the engine refuses by itself does not count: that a
    worker is being replaced says nothing of how much the next can do.

    Args:
        timeout_s: How long a request may take. Those that are given up before, because their clients allow less, say
            nothing of others; nor do those that were late by themselves, as nothing went before them (the model may
            have hung), and those that are wider than half the window.
        clock: The time, in seconds.
    """

    def __init__(self, timeout_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._late_s = _LATE * timeout_s
        self._clock = clock
        self._window = self._too_wide = math.inf
        self._closed_at_s = -math.inf
        self._under_way = Counter[str | None]()
        self._answered = 0
        self._answer_s = 0.0

    @property
    def window(self) -> float:
        """How many items may be under way; infinite until a request came too late."""
        return self._window

    @contextmanager
    def admit(self, items: int, owner: str | None) -> Iterator[None]:
        """Takes a request in for the length of a block, which computes it.

        Args:
            items: How many items it has.
            owner: On whose behalf it is.

        Raises:
            OverloadedError: If it would come too late.
        """
        began_s, others, answered = self._clock(), self._under_way.total(), self._answered
        self._refuse_if_full(items, owner)
        self._under_way[owner] += items
        try:
            yield
        except DeadlineExceededError:
            self._note_late(items, others, self._answered - answered, began_s)
            raise
        else:
            self._answered += items
            self._answer_s += _SMOOTHING * (self._clock() - began_s - self._answer_s)
            if 2 * self._under_way.total() >= self._window:
                is_far = self._window < _CLOSES_BY * self._too_wide
                self._window += (_RETURNS_BY if is_far else _OPENS_BY) * items
        finally:
            self._under_way[owner] -= items
            self._under_way += Counter()  # forgets owners of whom nothing is under way

    def _note_late(self, items: int, others: int, answered: int, began_s: float) -> None:
        """Closes the window, if a request that is given up was late because of others.

        These are what was under way when it came, or what went before it all the same, such as requests of a higher
        priority.
        """
        now_s = self._clock()
        is_late = now_s - began_s >= self._late_s and began_s >= self._closed_at_s
        if is_late and (others or answered) and 2 * items <= self._window:
            self._closed_at_s, self._answer_s = now_s, now_s - began_s
            self._too_wide = min(self._window, self._under_way.total())
            self._window = max(_LEAST_ITEMS, _CLOSES_BY * min(self._window, max(others + items, answered)))

    def _refuse_if_full(self, items: int, owner: str | None) -> None:
        mine = self._under_way[owner]
        if not mine or self._under_way.total() + items <= self._window:
            return
        share = self._window / len(self._under_way.keys() | {owner})
        if mine + items > share:
            raise OverloadedError(
                f"{self._under_way.total()} items are under way, and more would come too late",
                retry_after_s=self._answer_s,
            )
