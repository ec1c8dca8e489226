"""Who is told of requests: the log, and the traces."""

from __future__ import annotations

import time
from dataclasses import dataclass

from inferox.server.request_log import RequestLog
from inferox.server.request_record import RequestRecord
from inferox.server.span_queue import FinishedRequest, SpanQueue
from inferox.server.trace_context import TraceContext


@dataclass(frozen=True)
class RequestObserver:
    """Told of each request when it comes, and when it is over.

    Attributes:
        log: Gets a line for each; ``None`` for no log of requests.
        spans: Get those that are traced; ``None`` where none is.
    """

    log: RequestLog | None = None
    spans: SpanQueue | None = None

    def begin(self, record: RequestRecord, *, computes: bool) -> None:
        """Notes that a request has come, and decides whether it is traced.

        Args:
            record: What is noted of it.
            computes: Whether it is to compute something. Of requests whose clients name no trace, others have none: a
                probe comes every few seconds.
        """
        if self.spans is None:
            return
        if record.trace is None and computes:
            record.trace = TraceContext.beginning_here(self.spans.share)
        record.is_traced = record.trace is not None and record.trace.is_sampled

    def end(self, record: RequestRecord, status: int | str, sent_bytes: int | None = None) -> None:
        """Notes that a request is over.

        Args:
            record: What was noted of it.
            status: The status of its answer: a number, or a word of gRPC.
            sent_bytes: The length of the body of the answer; ``None`` where it is not known.
        """
        if self.log is not None:
            self.log.note(record, status, sent_bytes)
        if self.spans is not None and record.is_traced:
            self.spans.add(FinishedRequest(record, status, time.perf_counter(), time.monotonic(), time.time_ns()))
