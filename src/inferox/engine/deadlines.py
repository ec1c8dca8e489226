"""The watch over deadlines: requests fail at their deadline, whatever is being computed."""

from __future__ import annotations

import logging
import time
from heapq import heapify, heappop, heappush
from itertools import count
from threading import Thread

from inferox.core import DeadlineExceededError
from inferox.engine.monitor import Monitor
from inferox.engine.request import Request
from inferox.engine.thread_start import start_thread

_logger = logging.getLogger(__name__)

_KEPT = 1024
"""The number of answered requests that are kept before they are cleared away."""


class Deadlines:
    """Fails requests at their deadlines, from a thread that starts with the first of them. Thread-safe.

    Args:
        name: The name of the thread.
    """

    def __init__(self, name: str = "inferox-deadlines") -> None:
        self._name = name
        self._condition = Monitor()
        self._heap: list[tuple[float, int, Request]] = []
        self._numbers = count()
        self._answered = 0
        self._thread: Thread | None = None
        self._is_closed = False

    def add(self, request: Request) -> None:
        """Watches a request until it is answered.

        Args:
            request: The request, which has a deadline.
        """
        with self._condition:
            self._thread = self._thread or start_thread(self._name, self._run)
            if self._thread is None:
                return  # callers that wait for an answer still check the time themselves
            heappush(self._heap, (request.deadline_s, next(self._numbers), request))
            if self._heap[0][2] is request:
                self._condition.notify()
        request.future.add_done_callback(lambda _: self._note_answer())

    def close(self) -> None:
        """Stops watching, and waits until the thread has ended."""
        with self._condition:
            self._is_closed = True
            self._heap.clear()
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()

    def _note_answer(self) -> None:
        """Forgets answered requests once they are the majority, as deadlines may be far away."""
        with self._condition:
            self._answered += 1
            if self._answered > max(_KEPT, len(self._heap) // 2):
                self._heap = [item for item in self._heap if not item[2].is_over()]
                heapify(self._heap)
                self._answered = 0

    def _run(self) -> None:
        while True:
            try:
                if (expired := self._wait()) is None:
                    return
                for request in expired:
                    request.fail(
                        DeadlineExceededError(
                            f"the answer was not ready within {request.options.deadline_s} s",
                            hint="allow more time, or send less at once",
                        )
                    )
            except Exception:
                _logger.exception("failing requests at their deadlines failed")

    def _wait(self) -> list[Request] | None:
        """Waits for and returns requests past their deadlines; ``None`` at the end."""
        with self._condition:
            while not self._is_closed:
                expired = []
                while self._heap and (self._heap[0][2].is_over() or self._heap[0][0] <= time.monotonic()):
                    request = heappop(self._heap)[2]
                    if not request.is_over():
                        expired.append(request)
                if expired:
                    return expired
                self._condition.wait(self._heap[0][0] - time.monotonic() if self._heap else None)
            return None
