"""The watch over deadlines: requests fail at their deadline, whatever is being computed."""

from __future__ import annotations

import logging
import time
from heapq import heapify, heappop, heappush
from itertools import count
from threading import Thread
from weakref import ref

from inferox.core import DeadlineExceededError
from inferox.engine.monitor import Monitor
from inferox.engine.request import Request
from inferox.engine.thread_start import start_thread

_logger = logging.getLogger(__name__)

_KEPT = 1024
"""The number of answered requests whose places are kept before they are cleared away."""


class Deadlines:
    """Fails requests at their deadlines, from a thread that starts with the first of them. Thread-safe.

    Args:
        name: The name of the thread.
    """

    def __init__(self, name: str = "inferox-deadlines") -> None:
        self._name = name
        self._condition = Monitor()
        # Not the requests themselves: deadlines may be far away, and their items and answers large.
        self._heap: list[tuple[float, int, ref[Request]]] = []
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
            item = request.deadline_s, next(self._numbers), ref(request)
            heappush(self._heap, item)
            if self._heap[0] is item:
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
        """Forgets answered requests once they are the majority."""
        with self._condition:
            self._answered += 1
            if self._answered > max(_KEPT, len(self._heap) // 2):
                self._heap = [item for item in self._heap if not _is_over(item[2]())]
                heapify(self._heap)
                self._answered = 0

    def _run(self) -> None:
        is_open = True
        while is_open:
            try:
                is_open = self._fail_next()
            except Exception:
                _logger.exception("failing requests at their deadlines failed")

    def _fail_next(self) -> bool:
        """Waits for requests past their deadlines, and fails them; ``False`` at the end."""
        expired = self._wait()
        for request in expired or ():
            request.fail(
                DeadlineExceededError(
                    f"the answer was not ready within {request.options.deadline_s} s",
                    hint="allow more time, or send less at once",
                )
            )
        return expired is not None

    def _wait(self) -> list[Request] | None:
        """Waits for and returns requests past their deadlines; ``None`` at the end."""
        with self._condition:
            while not self._is_closed:
                if expired := self._take_expired():
                    return expired
                self._condition.wait(self._heap[0][0] - time.monotonic() if self._heap else None)
            return None

    def _take_expired(self) -> list[Request]:
        """Removes the requests past their deadlines, and returns those that are not answered."""
        expired, now_s = list[Request](), time.monotonic()
        while self._heap and (_is_over(request := self._heap[0][2]()) or self._heap[0][0] <= now_s):
            heappop(self._heap)
            if request is not None and not request.is_over():
                expired.append(request)
        return expired


def _is_over(request: Request | None) -> bool:
    return request is None or request.is_over()
