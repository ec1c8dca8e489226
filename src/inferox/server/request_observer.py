"""The observer of requests: feeds the access log and the traces, and counts the calls of gRPC."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from inferox.server.request_log import RequestLog
from inferox.server.request_record import RequestRecord
from inferox.server.span_queue import FinishedRequest, SpanQueue
from inferox.server.trace_context import TraceContext


@dataclass(frozen=True)
class RequestObserver:
    """Notified when each request arrives, and when it is finished.

    Attributes:
        log: Gets a line for each request; ``None`` for no access log.
        spans: Gets the requests that are traced; ``None`` for no traces.
        calls: The number of finished gRPC calls, by the name of their status code.
    """

    log: RequestLog | None = None
    spans: SpanQueue | None = None
    calls: Counter[str] = field(default_factory=Counter)

    def begin(self, record: RequestRecord, *, computes: bool) -> None:
        """Records the arrival of a request, and decides whether it is traced.

        Args:
            record: The record of the request.
            computes: Whether it is to compute something. Other requests are traced only if their clients request it:
                probes come every few seconds.
        """
        if self.spans is None:
            return
        if record.trace is None and computes:
            record.trace = TraceContext.beginning_here(self.spans.share)
        record.is_traced = record.trace is not None and record.trace.is_sampled

    def end(self, record: RequestRecord, status: int | str, sent_bytes: int | None = None) -> None:
        """Records the end of a request.

        Args:
            record: The record of the request.
            status: The status of the response: an HTTP status, or the name of a gRPC status code.
            sent_bytes: The length of the response body; ``None`` if unknown.
        """
        if isinstance(status, str):
            self.calls[status] += 1
        if self.log is not None:
            self.log.note(record, status, sent_bytes)
        if self.spans is not None and record.is_traced:
            self.spans.add(FinishedRequest(record, status, time.perf_counter(), time.monotonic(), time.time_ns()))
