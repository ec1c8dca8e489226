"""Turns on a device: one model computes at a time, so that together they keep the thread budget."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from threading import Condition


class Turns:
    """Lets one model compute at a time, in as many lanes as it has, in the order in which models ask.

    A lane of the model that has its turn joins it as long as no other model waits.
    """

    def __init__(self) -> None:
        self._condition = Condition()
        self._waiting: deque[tuple[object, Hashable]] = deque()
        self._current: Hashable | None = None
        self._lanes = 0

    @contextmanager
    def of(self, model: Hashable) -> Iterator[None]:
        """Waits for a turn of a model, and ends it with the block.

        Args:
            model: What identifies the model.
        """
        ticket = object()
        with self._condition:
            self._waiting.append((ticket, model))
            self._condition.wait_for(lambda: self._may_begin(ticket, model))
            self._waiting.remove((ticket, model))
            self._current, self._lanes = model, self._lanes + 1
            self._condition.notify_all()
        try:
            yield
        finally:
            with self._condition:
                self._lanes -= 1
                self._condition.notify_all()

    def _may_begin(self, ticket: object, model: Hashable) -> bool:
        if self._waiting[0] != (ticket, model):
            return False
        return self._lanes == 0 or self._current == model
