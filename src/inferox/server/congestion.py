"""How much of one model may be under way, so that what is taken in is answered in time."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from inferox.core import DeadlineExceededError, OverloadedError

_LEAST_ITEMS = 4.0
"""The window never closes further, or a few requests that came late would shut everybody out."""

_CLOSES_BY, _OPENS_BY, _RETURNS_BY = 0.9, 0.01, 0.2
"""What is left of the window after a request that came too late, how much wider each item in time makes it, and how
much while it is far from as wide as when it was last too wide: narrower, or wider, as that is no longer so."""

_SMOOTHING = 0.1

_LATE = 0.99
"""What part of the time that a request may take has passed where it was given up for that; clocks are read in turn."""


@dataclass(frozen=True)
class _Before:
    """What there was when a request came: the time, the items that were under way, and those that were answered."""

    began_s: float
    under_way: int
    answered: int


class Congestion:
    """A window of items that one model may have under way. One event loop uses it.

    The engine estimates what waits for it, but not what a request waits for before and after: where the processor has
    more to do than it can, requests are taken in that expire when they are half computed, and most of the work is lost.
    So what counts here is what became of the requests before. One that came too late closes the window to a little less
    than what came before it, once for all requests that were under way together; each that is in time opens it again,
    where it is used: slowly near where it was too wide, and quickly elsewhere. It is TCP's control of congestion
    (Jacobson, 1988), slow start included, with Scalable TCP's increase (Kelly, 2003), which is in proportion to the
    window, and as in CUBIC (Ha, 2008) with a quick one beyond what was too wide. Until a request is late there is no
    limit.

    The window is that of requests that may take the whole timeout. One whose client allows a part of that has the same
    part of the window, as less may go before it, and what it says by being late or in time is scaled alike.

    Each owner may use an equal share, also where others fill the window. A request that is wider than the window is
    taken in when nothing else of its owner is under way. What the engine refuses by itself does not count: that a
    worker is being replaced says nothing of how much the next can do.

    Args:
        timeout_s: How long a request may take. Those that were late by themselves say nothing, as nothing went before
            them (the model may have hung), and so do those that are wider than half the window.
        clock: The time, in seconds.
    """

    def __init__(self, timeout_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout_s = timeout_s
        self._clock = clock
        self._window = self._too_wide = math.inf
        self._closed_at_s = -math.inf
        self._under_way, self._total = Counter[str | None](), 0
        self._answered = 0
        self._answer_s = 0.0

    @property
    def window(self) -> float:
        """How many items may be under way; infinite until a request came too late."""
        return self._window

    @property
    def is_full(self) -> bool:
        """Whether there is no room for one item more; owners that use less than their share still get theirs."""
        return self._total + 1 > self._window

    @contextmanager
    def admit(self, items: int, owner: str | None, allowed_s: float) -> Iterator[None]:
        """Takes a request in for the length of a block, which computes it.

        Args:
            items: How many items it has.
            owner: On whose behalf it is.
            allowed_s: How long it may take, which is at most the timeout.

        Raises:
            OverloadedError: If it would come too late.
        """
        scale = self._timeout_s / allowed_s
        if (refusal := self.find_refusal(owner, items, scale)) is not None:
            raise refusal
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
        """Why a request would be refused now; ``None`` where it would be taken in.

        Args:
            owner: On whose behalf it is.
            items: How many items it has, where that is known: of more, and of one that may take less time, more are
                refused.
            scale: How many times as long as it may take the timeout is.
        """
        mine, window = self._under_way[owner], max(_LEAST_ITEMS, self._window / scale)
        if not mine or self._total + items <= window:
            return None
        if mine + items <= window / len(self._under_way):
            return None
        return OverloadedError(
            f"{self._total} items are under way, and more would come too late", retry_after_s=self._answer_s
        )

    def _note_answer(self, items: int, before: _Before, scale: float) -> None:
        """Opens the window where it is used."""
        self._answered += items
        self._answer_s += _SMOOTHING * (self._clock() - before.began_s - self._answer_s)
        if 2 * self._total * scale >= self._window:
            is_near = _CLOSES_BY * self._too_wide <= self._window <= self._too_wide / _CLOSES_BY
            self._window += (_OPENS_BY if is_near else _RETURNS_BY) * items * scale

    def _note_late(self, items: int, before: _Before, allowed_s: float, scale: float) -> None:
        """Closes the window, if a request that is given up was late because of others.

        These are what was under way when it came, or what went before it all the same, such as requests of a higher
        priority. The window is not closed further than to what such requests may always have.
        """
        now_s, answered = self._clock(), self._answered - before.answered
        is_late = now_s - before.began_s >= _LATE * allowed_s and before.began_s >= self._closed_at_s
        if is_late and (before.under_way or answered) and 2 * items * scale <= self._window:
            self._closed_at_s, self._answer_s = now_s, now_s - before.began_s
            self._too_wide = min(self._window, self._total * scale)
            too_many = min(self._window, max(before.under_way + items, answered) * scale)
            self._window = max(min(self._window, _LEAST_ITEMS * scale), _CLOSES_BY * too_many)
