"""A queue of requests whose spans a thread sends, so that answering requests never waits for it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Condition, Thread

from inferox.server.request_record import RequestRecord

_MOST_REQUESTS = 4096
"""The number of requests that may wait to be sent; further ones are dropped and counted."""

_AT_ONCE = 256
"""The number of requests sent at once."""

_EVERY_S = 1.0
"""The time for which requests wait for others to be sent with them."""

_CLOSE_S = 2.0
"""The time that sending the last ones may take when the queue is closed."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FinishedRequest:
    """A finished request, with the time of its end on each clock: those of its phases differ.

    Attributes:
        record: The record of the request.
        status: The status of the response: an HTTP status, or the name of a gRPC status code.
        perf_s: The time it ended, on the clock of ``time.perf_counter``.
        monotonic_s: The same, on the clock of ``time.monotonic``.
        unix_ns: The same, in nanoseconds since 1970.
    """

    record: RequestRecord
    status: int | str
    perf_s: float
    monotonic_s: float
    unix_ns: int


class SpanSender(ABC):
    """Sends the spans of requests. Used from one thread, except ``close``."""

    @abstractmethod
    def send(self, requests: Sequence[FinishedRequest]) -> str | None:
        """Sends the spans of requests, however long that takes.

        Args:
            requests: The requests.

        Returns:
            The reason why it failed; ``None`` if it succeeded.
        """

    @abstractmethod
    def close(self) -> None:
        """Gives up the transfer in progress."""


class SpanQueue:
    """A queue of requests whose spans are sent, in order. May be used from several threads.

    Args:
        sender: Sends them.
        share: The share of requests to trace, from 0 to 1, among those whose clients leave it open.
        most_requests: The number of requests that may wait.
        every_s: The time for which requests wait for others to be sent with them.

    Attributes:
        share: See above.
        sent: The number of requests sent.
        dropped: The number of requests not sent, by reason: ``queue_full`` or ``not_delivered``.
    """

    def __init__(
        self,
        sender: SpanSender,
        *,
        share: float = 1.0,
        most_requests: int = _MOST_REQUESTS,
        every_s: float = _EVERY_S,
    ) -> None:
        self.share = share
        self.sent = 0
        self.dropped = Counter(queue_full=0, not_delivered=0)
        self._sender = sender
        self._most_requests = most_requests
        self._every_s = every_s
        self._condition = Condition()
        self._requests: deque[FinishedRequest] = deque()
        self._is_closed = self._is_failing = False
        self._thread = Thread(target=self._run, name="inferox-spans", daemon=True)
        self._thread.start()

    def add(self, request: FinishedRequest) -> None:
        """Queues a request for sending, without blocking.

        Args:
            request: The request.
        """
        with self._condition:
            if len(self._requests) >= self._most_requests:
                self.dropped["queue_full"] += 1
                return
            self._requests.append(request)
            if len(self._requests) in {1, _AT_ONCE}:
                self._condition.notify()

    def close(self) -> None:
        """Sends the remaining requests, within a time limit."""
        with self._condition:
            self._is_closed = True
            self._condition.notify()
        self._thread.join(_CLOSE_S)
        self._sender.close()

    def _run(self) -> None:
        while requests := self._take():
            try:
                problem = self._sender.send(requests)
            except Exception as error:
                _logger.exception("sending spans failed")
                problem = f"{type(error).__name__}: {error}"
            self._note(len(requests), problem)

    def _take(self) -> list[FinishedRequest]:
        """Waits for requests, until they are many or have waited for a while; returns none at the end."""
        with self._condition:
            self._condition.wait_for(lambda: self._requests or self._is_closed)
            self._condition.wait_for(lambda: len(self._requests) >= _AT_ONCE or self._is_closed, self._every_s)
            return [self._requests.popleft() for _ in range(min(_AT_ONCE, len(self._requests)))]

    def _note(self, requests: int, problem: str | None) -> None:
        if problem is None:
            self.sent += requests
        else:
            self.dropped["not_delivered"] += requests
        if problem is not None and not self._is_failing:
            _logger.warning("traces cannot be delivered, and are dropped (/metrics counts them): %s", problem)
        elif problem is None and self._is_failing:
            _logger.warning("traces are delivered again")
        self._is_failing = problem is not None
