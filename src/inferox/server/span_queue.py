"""Requests whose spans are to be sent: a thread does that, and whoever answers requests never waits for it."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Condition, Thread

from inferox.server.request_record import RequestRecord

_MOST_REQUESTS = 4096
"""How many requests may wait to be sent; those that come meanwhile are left out and counted."""

_AT_ONCE = 256
"""How many are sent at once."""

_EVERY_S = 1.0
"""How long requests wait for others to be sent with them."""

_CLOSE_S = 2.0
"""How long sending the last ones may take at the end."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FinishedRequest:
    """A request that is over, and when that was by each clock: those of its phases differ.

    Attributes:
        record: What was noted of it.
        status: The status of its answer: a number, or a word of gRPC.
        perf_s: When it ended, on the clock of ``time.perf_counter``.
        monotonic_s: The same, on the clock of ``time.monotonic``.
        unix_ns: The same, in nanoseconds since 1970.
    """

    record: RequestRecord
    status: int | str
    perf_s: float
    monotonic_s: float
    unix_ns: int


class SpanSender(ABC):
    """Sends the spans of requests. One thread uses it, but for ``close``."""

    @abstractmethod
    def send(self, requests: Sequence[FinishedRequest]) -> str | None:
        """Sends the spans of some requests, for however long that takes.

        Args:
            requests: The requests.

        Returns:
            Why it failed; ``None`` where it did not.
        """

    @abstractmethod
    def close(self) -> None:
        """Gives up what is being sent."""


class SpanQueue:
    """Requests whose spans are to be sent, in their order. Several threads may use it.

    Args:
        sender: Sends them.
        share: The share of the requests without a trace of their client that are traced.
        most_requests: How many may wait.
        every_s: How long requests wait for others to be sent with them.

    Attributes:
        share: See above.
        sent: How many requests were sent.
        dropped: How many were not, by why: ``queue_full`` or ``not_delivered``.
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
        """Has the spans of a request sent, and waits for nothing.

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
        """Sends what is left, as far as that takes no long time."""
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
        """Those that wait, once they are many or have waited for a while; none at the end."""
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
            _logger.warning("traces are lost, which /metrics counts, as they cannot be delivered: %s", problem)
        elif problem is None and self._is_failing:
            _logger.warning("traces are delivered again")
        self._is_failing = problem is not None
