"""Turns on a device: one model computes at a time, so that together they stay within the thread budget."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from threading import local

from inferox.core import ExecutionError
from inferox.engine.monitor import Monitor

_thread = local()


def is_computing() -> bool:
    """Returns whether this thread has a turn: a model that called the engine while computing would wait for itself."""
    return getattr(_thread, "is_computing", False)


def refuse_if_computing() -> None:
    """Refuses what a model does while it computes, and would wait for itself.

    Raises:
        ExecutionError: If this thread has a turn.
    """
    if is_computing():
        raise ExecutionError(
            "a model called the engine while computing, and would wait for itself",
            hint="call the other model's TaskModel, or call the engine before or after computing",
        )


class Turns:
    """Lets one model at a time compute, in all of its lanes, in the order of arrival.

    Further lanes of the current model join as long as no other model waits.
    """

    def __init__(self) -> None:
        self._condition = Monitor()
        self._waiting: deque[tuple[object, Hashable]] = deque()
        self._current: Hashable | None = None
        self._lanes = 0

    @contextmanager
    def of(self, model: Hashable) -> Iterator[None]:
        """Waits for a model's turn, which ends with the block.

        Args:
            model: A key that identifies the model.
        """
        ticket, has_begun = (object(), model), False
        try:
            with self._condition:
                self._waiting.append(ticket)
                while not self._may_begin(ticket):
                    self._condition.wait()
                self._waiting.remove(ticket)
                self._current, self._lanes, has_begun = model, self._lanes + 1, True
                self._condition.notify_all()
            _thread.is_computing = True
            yield
        finally:
            _thread.is_computing = False
            with self._condition:
                if has_begun:
                    self._lanes -= 1
                    self._current = self._current if self._lanes else None  # otherwise it would live on
                elif ticket in self._waiting:  # interrupted while waiting
                    self._waiting.remove(ticket)
                self._condition.notify_all()

    def _may_begin(self, ticket: tuple[object, Hashable]) -> bool:
        return self._waiting[0] == ticket and (self._lanes == 0 or self._current == ticket[1])
