"""OpenTelemetry spans of requests, sent as OTLP over HTTP."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from inferox import __version__
from inferox.server.request_record import Computed, RequestRecord
from inferox.server.span_queue import FinishedRequest, SpanSender
from inferox.server.trace_context import TraceContext

_PATH = "/v1/traces"
"""The path at which receivers take traces."""

_NS = 1_000_000_000

_exporter_log = logging.getLogger(trace_exporter.__name__)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
_OTHER_METHOD = "_OTHER"
"""The name for unknown methods in OpenTelemetry's conventions: clients may invent any number of them."""

_FIRST_SERVER_ERROR = 500
_SERVER_ERRORS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
"""The gRPC status codes that those conventions count as server errors."""


class OtlpSender(SpanSender):
    """Sends the spans of requests to a receiver of OTLP over HTTP.

    Honors OpenTelemetry's environment variables for the service (``OTEL_SERVICE_NAME``, ``OTEL_RESOURCE_ATTRIBUTES``)
    and the exporter (``OTEL_EXPORTER_OTLP_HEADERS``, ``…_CERTIFICATE``, ``…_TIMEOUT``, ``…_COMPRESSION``).

    Args:
        endpoint: The URL of the receiver; the path for traces is appended unless it is there.
    """

    def __init__(self, endpoint: str) -> None:
        has_path = urlsplit(endpoint).path.rstrip("/").endswith(_PATH)
        self._url = endpoint if has_path else endpoint.rstrip("/") + _PATH
        self._exporter = trace_exporter.OTLPSpanExporter(endpoint=self._url)
        self._complaint = _LastComplaint()
        _exporter_log.addFilter(self._complaint)
        self._ids, self._ended = _GivenIds(), _EndedSpans()
        own = Resource({"service.name": "inferox", "service.version": __version__})
        provider = TracerProvider(
            sampler=ALWAYS_ON,  # requests that are not sampled never get here
            resource=Resource.create(dict(own.merge(OTELResourceDetector().detect()).attributes)),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        provider.add_span_processor(self._ended)
        self._tracer = provider.get_tracer("inferox", __version__)

    def send(self, requests: Sequence[FinishedRequest]) -> str | None:
        """Sends the spans of requests; see ``SpanSender``."""
        for request in requests:
            self._make_spans(request)
        if self._exporter.export(self._ended.take()) is SpanExportResult.SUCCESS:
            return None
        return f"{self._url}: {self._complaint.text}"

    def close(self) -> None:
        """Gives up the export in progress."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
        _exporter_log.removeFilter(self._complaint)

    def _make_spans(self, request: FinishedRequest) -> None:
        """Makes the span of a request, with a child for each phase of its computation."""
        record, trace = request.record, request.record.trace
        assert trace is not None  # noqa: S101 - only traced requests get here
        self._ids.give(trace)
        span = self._tracer.start_span(
            _name(record),
            _parent_of(trace),
            SpanKind.SERVER,
            _describe(record, request.status),
            start_time=request.unix_ns - int((request.perf_s - record.started_s) * _NS),
        )
        if _is_failure(request.status):
            span.set_attribute("error.type", str(request.status))
            span.set_status(Status(StatusCode.ERROR))
        within = set_span_in_context(span, Context())
        for computed in record.computed:
            self._make_phases(computed, within, lambda at_s: request.unix_ns - int((request.monotonic_s - at_s) * _NS))
        span.end(request.unix_ns)

    def _make_phases(self, computed: Computed, within: Context, to_ns: Callable[[float], int]) -> None:
        if (phases := computed.phases) is None:
            return
        facts: dict[str, str | int] = {
            "inferox.model": computed.model,
            "inferox.rows": computed.rows,
            "inferox.tokens": computed.tokens,
        }
        for name, began_s, ended_s in (
            ("tokenise", phases.rows_began_s, phases.rows_ended_s),
            ("queue", phases.rows_ended_s, phases.compute_began_s),
            ("compute", phases.compute_began_s, phases.compute_ended_s),
        ):
            child = self._tracer.start_span(name, within, attributes=facts, start_time=to_ns(began_s))
            child.end(to_ns(ended_s))


class _GivenIds(RandomIdGenerator):
    """An id generator for spans: a request's ids were made when it arrived, for its response and the log."""

    def __init__(self) -> None:
        self._trace_id, self._span_ids = 0, list[int]()

    def give(self, trace: TraceContext) -> None:
        """Sets the ids of the next span.

        Args:
            trace: The trace with the ids.
        """
        self._trace_id, self._span_ids = int(trace.trace_id, 16), [int(trace.span_id, 16)]

    def generate_trace_id(self) -> int:
        """Returns the id of a trace that begins here."""
        return self._trace_id

    def generate_span_id(self) -> int:
        """Returns the id of a span: the one set before, or else a random one."""
        return self._span_ids.pop() if self._span_ids else super().generate_span_id()


class _EndedSpans(SpanProcessor):
    """Collects ended spans until they are taken."""

    def __init__(self) -> None:
        self._spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        """Collects a span."""
        self._spans.append(span)

    def take(self) -> list[ReadableSpan]:
        """Returns the collected spans, and forgets them."""
        spans, self._spans = self._spans, []
        return spans


class _LastComplaint(logging.Filter):
    """Keeps the exporter's last log message, rather than log every attempt while a receiver is away."""

    text = "no answer"

    def filter(self, record: logging.LogRecord) -> bool:
        """Keeps the message, and drops the record."""
        self.text = record.getMessage()
        return False


def _name(record: RequestRecord) -> str:
    if record.protocol == "grpc":
        return _method_of_grpc(record)
    method = record.method if record.method in _METHODS else "HTTP"
    return method if record.route is None else f"{method} {record.route}"


def _method_of_grpc(record: RequestRecord) -> str:
    return f"{record.path.lstrip('/')}/{record.method}"


def _describe(record: RequestRecord, status: int | str) -> dict[str, str | int]:
    """Returns the attributes of a request, named by OpenTelemetry's conventions where these have a name."""
    facts: dict[str, str | int | None] = {"inferox.request_id": record.id, "inferox.model": record.model}
    facts["inferox.api_key"] = record.owner
    if record.protocol == "grpc":
        facts |= {
            "rpc.system.name": "grpc",
            "rpc.method": _method_of_grpc(record),
            "rpc.response.status_code": str(status),
        }
    else:
        facts |= {
            "http.request.method": record.method if record.method in _METHODS else _OTHER_METHOD,
            "http.route": record.route,
            "url.path": record.path,
            "http.response.status_code": status,
        }
    if record.computed:
        last = record.computed[-1]
        facts |= {
            "inferox.model.version": last.version,
            "inferox.artifact": last.artifact,
            "inferox.rows": sum(computed.rows for computed in record.computed),
            "inferox.tokens": sum(computed.tokens for computed in record.computed),
        }
    return {name: value for name, value in facts.items() if value is not None}


def _is_failure(status: int | str) -> bool:
    return status in _SERVER_ERRORS if isinstance(status, str) else status >= _FIRST_SERVER_ERROR


def _parent_of(trace: TraceContext) -> Context:
    """Returns the parent of a request's span: its client's span, or none."""
    if trace.parent_id is None:
        return Context()
    state = TraceState.from_header([] if trace.state is None else [trace.state])
    parent = SpanContext(
        int(trace.trace_id, 16),
        int(trace.parent_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(trace.flags, 16)),
        trace_state=state,
    )
    return set_span_in_context(NonRecordingSpan(parent), Context())
