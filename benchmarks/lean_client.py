"""An HTTP/1.1 client in one ``epoll`` loop, which takes a few hundredths of a millisecond per request.

A client on the server's cores takes them away from it: asyncio and a parser would cost as much per request as the
server needs to refuse one.
"""

from __future__ import annotations

import random
import select
import socket
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from time import perf_counter, process_time

MOST_CONNECTIONS = 512
"""The number of connections at a time. If all are in use, requests at a rate wait for one, and the wait counts."""

_COMES_SHARE = 0.8
"""The share of the time in which requests are sent; in the rest they may still be answered."""

_PROBES_EVERY_S = 0.05
_PROBE = b"GET /health/live HTTP/1.1\r\nhost: model\r\n\r\n"
_READ_BYTES = 2**18
_HEAD_ENDS, _LENGTH, _RETRY_AFTER = b"\r\n\r\n", b"\r\ncontent-length: ", b"\r\nretry-after: "


@dataclass
class Observed:
    """The outcome of the requests of a load.

    Attributes:
        began_s: The start, on the clock of ``perf_counter``.
        ended_s: The time of the last answer.
        latencies_s: The time of each answer, from when its request was due.
        refused_s: The time of each 429, from when its request was sent.
        late_s: The time from when each request was due until it was sent: the client's own delay.
        probed_s: The time of each answer of the server's liveness probe.
        unsaid: The number of refusals without ``Retry-After``.
        failed: The number of requests that got another status, or no answer.
        own_cores: The number of cores that the client used.
    """

    began_s: float = 0.0
    ended_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    refused_s: list[float] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    probed_s: list[float] = field(default_factory=list)
    unsaid: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    own_cores: float = 0.0

    @property
    def rate_per_s(self) -> float:
        """Returns the answered requests per second."""
        return len(self.latencies_s) / (self.ended_s - self.began_s) if self.latencies_s else 0.0


class _Connection:
    """A connection with at most one request in progress."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.received = b""
        self.due_s = self.sent_s = 0.0

    def send(self, request: bytes, due_s: float) -> None:
        self.due_s, self.sent_s = due_s, perf_counter()
        if self.socket.send(request) < len(request):
            raise SystemExit("a request does not fit into what a connection takes at once")

    def read(self) -> tuple[int, bytes] | None:
        """Reads the status and the head of the answer; ``None`` until all of it has arrived."""
        data = self.socket.recv(_READ_BYTES)
        if not data:
            raise SystemExit("the server closed a connection that was in use")
        received = self.received = self.received + data if self.received else data
        head_bytes = received.find(_HEAD_ENDS)
        if head_bytes < 0:
            return None
        head = received[:head_bytes].lower()
        said = head.find(_LENGTH)
        length = int(head[said + len(_LENGTH) :].split(b"\r", 1)[0])
        if len(received) < head_bytes + len(_HEAD_ENDS) + length:
            return None
        self.received = b""
        return int(head[9:12]), head


class LeanClient:
    """Sends requests to one server, and records the times of answers, refusals and probes.

    Args:
        port: Its port on loopback.
        requests: The HTTP requests to send in turn, as bytes.
    """

    def __init__(self, port: int, requests: Sequence[bytes]) -> None:
        self._port = port
        self._requests = requests

    def ask_by_callers(self, callers: int, seconds: float) -> Observed:
        """Has callers send requests, each as soon as its previous one is answered.

        Args:
            callers: Their number.
            seconds: The duration.
        """
        return _Load(self._port, self._requests, seconds).run([0.0] * callers, again=True)

    def ask_at_rate(self, rate_per_s: float, seconds: float) -> Observed:
        """Sends requests at random times, whether the previous ones are answered or not.

        Args:
            rate_per_s: The average number of requests per second.
            seconds: The duration.
        """
        draw, comes_s = random.Random(0), seconds * _COMES_SHARE  # noqa: S311 - varied, not secret
        # The arrivals of a Poisson process, given their number: exactly as many as the rate says.
        times_s = sorted(draw.uniform(0, comes_s) for _ in range(max(1, round(rate_per_s * comes_s))))
        return _Load(self._port, self._requests, seconds).run(times_s, again=False)


class _Load:
    """One load, from its first request to its last answer."""

    def __init__(self, port: int, requests: Sequence[bytes], seconds: float) -> None:
        self._port, self._requests, self._seconds = port, requests, seconds
        self._epoll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        self._idle: list[_Connection] = []
        self._asked = 0
        self._observed = Observed()

    def run(self, due_after_s: Sequence[float], *, again: bool) -> Observed:
        """Sends requests when they are due; with ``again``, another one after each answer."""
        observed, prober = self._observed, self._connect()
        began_s, began_cpu_s = perf_counter(), process_time()
        observed.began_s, comes_until_s = began_s, began_s + self._seconds * _COMES_SHARE
        due = deque(began_s + after_s for after_s in due_after_s)
        probe_due_s, is_probing = began_s, False
        try:
            while (now_s := perf_counter()) < began_s + self._seconds:
                if not is_probing and now_s >= probe_due_s:
                    prober.send(_PROBE, now_s)
                    is_probing = True
                while due and due[0] <= now_s and (connection := self._take()) is not None:
                    due_s = due.popleft()
                    connection.send(self._requests[self._asked % len(self._requests)], due_s)
                    observed.late_s.append(connection.sent_s - due_s)
                    self._asked += 1
                if now_s >= comes_until_s and not due and len(self._idle) == len(self._connections) - 1:
                    break
                for connection in self._wait(due[0] if due and self._may_send() else probe_due_s):
                    if (answer := connection.read()) is None:
                        continue
                    now_s = perf_counter()
                    if connection is prober:
                        observed.probed_s.append(now_s - prober.sent_s)
                        probe_due_s, is_probing = now_s + _PROBES_EVERY_S, False
                        continue
                    self._idle.append(connection)
                    self._note(connection, *answer, now_s)
                    if again and now_s < comes_until_s:
                        due.append(now_s if answer[0] == HTTPStatus.OK else now_s + 0.001)
            observed.failed["unanswered"] += len(due) + len(self._connections) - 1 - len(self._idle)
        finally:
            for connection in self._connections.values():
                connection.socket.close()
            self._epoll.close()
        observed.own_cores = (process_time() - began_cpu_s) / (perf_counter() - began_s)
        return observed

    def _note(self, connection: _Connection, status: int, head: bytes, now_s: float) -> None:
        observed = self._observed
        if status == HTTPStatus.OK:
            observed.ended_s = now_s
            observed.latencies_s.append(now_s - connection.due_s)
            return
        observed.failed[f"HTTP {status}"] += 1
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            observed.refused_s.append(now_s - connection.sent_s)
            observed.unsaid += _RETRY_AFTER not in head

    def _wait(self, until_s: float) -> list[_Connection]:
        """Waits for connections that can be read; returns none if the time is up first."""
        # epoll counts in milliseconds, select in microseconds.
        select.select([self._epoll], [], [], min(max(0.0, until_s - perf_counter()), 0.05))
        return [self._connections[number] for number, _ in self._epoll.poll(0)]

    def _may_send(self) -> bool:
        return bool(self._idle) or len(self._connections) <= MOST_CONNECTIONS

    def _take(self) -> _Connection | None:
        if self._idle:
            return self._idle.pop()
        return self._connect() if self._may_send() else None

    def _connect(self) -> _Connection:
        connection = _Connection(self._port)
        self._connections[connection.socket.fileno()] = connection
        self._epoll.register(connection.socket, select.EPOLLIN)
        return connection
