"""Traces of requests, as a receiver of OTLP gets them."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from threading import Event
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from inferox.core import ConfigError
from inferox.server import ModelRepository, ServerConfig, serve
from inferox.server.app import App
from inferox.server.log_format import JsonFormatter
from inferox.server.otlp import OtlpSender
from inferox.server.request_observer import RequestObserver
from inferox.server.request_record import RequestRecord
from inferox.server.service import Service
from inferox.server.span_queue import FinishedRequest, SpanQueue, SpanSender
from inferox.server.trace_context import TraceContext, read_trace_context
from tests.server.oip.test_grpc import asked, infer_of
from tests.server.otlp_receiver import OtlpReceiver, read_attributes, receiving
from tests.server.running import wait_until
from tests.server.test_api_keys import make
from tests.server.test_app import Held, holding, run

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
STATE = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"
PARENTED = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": STATE}
CHILDREN = ["tokenise", "queue", "compute"]


@asynccontextmanager
async def traced(spans: SpanQueue, **config: Any) -> AsyncIterator[tuple[Held, httpx2.AsyncClient]]:
    """An application whose requests are traced, and a client of it."""
    settings = ServerConfig(**config)
    async with holding(settings) as held:
        held.model.may_go.set()
        app = App(held.service, settings, RequestObserver(spans=spans))
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://server") as http:
            yield held, http


async def ask(http: httpx2.AsyncClient, *texts: str, **headers: str) -> httpx2.Response:
    return await http.post("/v1/embeddings", json={"model": "model", "input": texts}, headers=headers)


def test_a_request_is_a_span_with_its_phases_within() -> None:
    async def test(receiver: OtlpReceiver) -> None:
        spans = SpanQueue(OtlpSender(receiver.url), every_s=0)
        async with traced(spans, api_keys=(make(),)) as (_, http):
            began_ns, key = time.time_ns(), {"authorization": "Bearer secret of alice"}
            answer = await ask(http, "abc", "de", **{"x-request-id": "mine"}, **PARENTED, **key)
            ended_ns = time.time_ns()
            assert answer.status_code == 200
            assert answer.headers["tracestate"] == STATE
            told = read_trace_context(answer.headers)
        spans.close()
        (span,) = receiver.named("POST /v1/embeddings")
        assert told is not None
        assert (span.trace_id.hex(), span.parent_span_id.hex(), span.trace_state) == (TRACE, PARENT, STATE)
        assert (told.trace_id, told.parent_id) == (TRACE, span.span_id.hex())
        assert (span.kind, span.status.code) == (span.SPAN_KIND_SERVER, 0)
        assert read_attributes(span) == {
            "http.request.method": "POST",
            "http.route": "/v1/embeddings",
            "url.path": "/v1/embeddings",
            "http.response.status_code": 200,
            "inferox.request_id": "mine",
            "inferox.api_key": "alice",
            "inferox.model": "model",
            "inferox.model.version": "1",
            "inferox.artifact": answer.headers["x-inferox-artifact"],
            "inferox.rows": 2,
            "inferox.tokens": 5,
        }
        children = [child for child in receiver.spans if child.parent_span_id == span.span_id]
        assert [child.name for child in children] == CHILDREN
        times = [began_ns, span.start_time_unix_nano]
        for child in children:
            assert (child.trace_id, child.trace_state) == (span.trace_id, STATE)
            assert read_attributes(child) == {"inferox.model": "model", "inferox.rows": 2, "inferox.tokens": 5}
            assert child.end_time_unix_nano > child.start_time_unix_nano
            times += [child.start_time_unix_nano, child.end_time_unix_nano]
        # Clocks are read one after the other, so they differ by microseconds.
        times += [span.end_time_unix_nano, ended_ns]
        assert all(later - earlier > -100_000 for earlier, later in pairwise(times))
        compute_ms = (children[-1].end_time_unix_nano - children[-1].start_time_unix_nano) / 1e6
        assert compute_ms == pytest.approx(float(answer.headers["x-inferox-compute-ms"]), abs=0.06)
        (resource,) = {tuple(sorted(some.items())) for some in receiver.resources}
        assert dict(resource)["service.name"] == "inferox"
        assert dict(resource)["service.version"]

    with receiving() as receiver:
        run(lambda: test(receiver))


def test_what_a_client_does_not_want_sampled_is_not_and_goes_on_all_the_same() -> None:
    async def test(receiver: OtlpReceiver) -> None:
        spans = SpanQueue(OtlpSender(receiver.url), every_s=0)
        async with traced(spans) as (_, http):
            answer = await ask(http, "a", traceparent=f"00-{TRACE}-{PARENT}-00", tracestate=STATE)
            assert answer.headers["traceparent"].startswith(f"00-{TRACE}-")
            assert answer.headers["traceparent"].endswith("-00")
            assert answer.headers["tracestate"] == STATE
            probe = await http.get("/health/live")  # nor do requests that compute nothing begin a trace
            assert "traceparent" not in probe.headers
            begun = await ask(http, "a")
            lost = await ask(http, "a", traceparent="00-nonsense", tracestate=STATE)  # which begins a trace, too
            assert "tracestate" not in lost.headers
            two = [("traceparent", f"00-{trace_id}-{PARENT}-00") for trace_id in (TRACE, TRACE[::-1])]
            either = await http.get("/health/live", headers=two)  # it does not say which of them it belongs to
            assert "traceparent" not in either.headers
        spans.close()
        roots = receiver.named("POST /v1/embeddings")
        assert [span.parent_span_id for span in roots] == [b"", b""]
        told = [f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01" for span in roots]
        assert told == [begun.headers["traceparent"], lost.headers["traceparent"]]
        assert spans.sent == 2

    with receiving() as receiver:
        run(lambda: test(receiver))


def test_failures_are_marked_and_unknown_routes_and_methods_have_no_names_of_their_own() -> None:
    async def test(receiver: OtlpReceiver) -> None:
        spans = SpanQueue(OtlpSender(receiver.url), every_s=0)
        async with traced(spans, timeout_s=0.02) as (held, http):
            held.model.may_go.clear()
            assert (await ask(http, "a")).status_code == 504
            held.model.may_go.set()
            await http.post("/nothing/17", headers=PARENTED)
            await http.request("BREW", "/v1/embeddings", headers=PARENTED)
        spans.close()
        late, missing, wrong = receiver.spans
        assert (late.name, late.status.code) == ("POST /v1/embeddings", late.status.STATUS_CODE_ERROR)
        assert read_attributes(late)["error.type"] == "504"
        assert (missing.name, missing.status.code) == ("POST", 0)
        assert read_attributes(missing)["http.response.status_code"] == 404
        assert wrong.name == "HTTP /v1/embeddings"
        assert read_attributes(wrong)["http.request.method"] == "_OTHER"

    with receiving() as receiver:
        run(lambda: test(receiver))


def test_calls_of_grpc_are_traced_and_each_request_of_a_stream() -> None:
    async def test(receiver: OtlpReceiver) -> None:
        spans = SpanQueue(OtlpSender(receiver.url), every_s=0)
        async with asked(observer=RequestObserver(spans=spans)) as server:
            divided = [("tracestate", part) for part in STATE.split(",")]
            call = server.call(
                "ModelInfer", infer_of("a"), metadata=(("traceparent", PARENTED["traceparent"]), *divided)
            )
            await call
            trailing = [*await call.trailing_metadata()]
            told = dict(trailing)
            assert len(told) == len(trailing)
            begin = server.channel.stream_stream(
                "/inference.GRPCInferenceService/ModelStreamInfer",
                request_serializer=lambda sent: sent.SerializeToString(),
            )
            stream = begin(iter([infer_of("a"), infer_of("bc")]), metadata=tuple(PARENTED.items()))
            assert len([answer async for answer in stream]) == 2
        spans.close()
        assert told["tracestate"] == STATE
        (span,) = receiver.named("inference.GRPCInferenceService/ModelInfer")
        assert told["traceparent"] == f"00-{TRACE}-{span.span_id.hex()}-01"
        assert (span.parent_span_id.hex(), span.trace_state) == (PARENT, STATE)
        found = read_attributes(span)
        assert (found["rpc.system.name"], found["rpc.response.status_code"]) == ("grpc", "OK")
        streamed = receiver.named("inference.GRPCInferenceService/ModelStreamInfer")
        assert len({some.span_id for some in (span, *streamed)}) == 3
        assert sorted(read_attributes(some)["inferox.tokens"] for some in streamed) == [1, 2]

    with receiving() as receiver:
        run(lambda: test(receiver))


def test_a_receiver_that_is_away_holds_nothing_up_and_what_is_lost_is_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")

    async def test(receiver: OtlpReceiver) -> None:
        spans = SpanQueue(OtlpSender(receiver.url), every_s=0, most_requests=2)
        async with traced(spans) as (held, http):
            receiver.status = 404
            assert (await ask(http, "a")).status_code == 200
            await held.until(lambda: spans.dropped["not_delivered"] == 1)
            assert (await ask(http, "a")).status_code == 200
            await held.until(lambda: spans.dropped["not_delivered"] == 2)
            receiver.status = 200
            assert (await ask(http, "a")).status_code == 200
            await held.until(lambda: spans.sent == 1)
            told = (await http.get("/metrics")).text
        spans.close()
        values = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(told)
            for sample in family.samples
        }
        assert values["inferox_traced_requests_total",] == 1
        assert values["inferox_lost_traces_total", "not_delivered"] == 2
        assert values["inferox_lost_traces_total", "queue_full"] == 0

    with receiving() as receiver, caplog.at_level(logging.INFO):
        run(lambda: test(receiver))
    gone, back = [record.getMessage() for record in caplog.records if "traces" in record.getMessage()]
    assert "cannot be delivered" in gone
    assert "404" in gone
    assert back == "traces are delivered again"
    assert "Failed to export" not in "".join(
        record.getMessage() for record in caplog.records if "traces" not in record.msg
    )


class StuckSender(SpanSender):
    """A sender that does not return until it may."""

    def __init__(self) -> None:
        self.may_go, self.sizes = Event(), list[int]()

    def send(self, requests: Sequence[FinishedRequest]) -> str | None:
        self.sizes.append(len(requests))
        self.may_go.wait(20)
        return None

    def close(self) -> None:
        self.may_go.set()


def test_requests_wait_only_as_far_as_there_is_room() -> None:
    sender = StuckSender()
    spans = SpanQueue(sender, every_s=0, most_requests=10)
    record = RequestRecord("a", "http", "POST", "/", trace=TraceContext.beginning_here(1.0))
    spans.add(FinishedRequest(record, 200, 0.0, 0.0, 0))
    wait_until(lambda: sender.sizes)
    for _ in range(25):
        spans.add(FinishedRequest(record, 200, 0.0, 0.0, 0))
    assert spans.dropped == {"queue_full": 15, "not_delivered": 0}
    sender.may_go.set()
    spans.close()
    assert (sum(sender.sizes), spans.sent) == (11, 11)


def test_what_is_logged_while_a_request_is_answered_says_which_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[dict[str, Any]] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(JsonFormatter().format(record)))

    async def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    keeper, logger = Keeper(), logging.getLogger("inferox.server")
    monkeypatch.setattr(Service, "embed", fail)
    logger.addHandler(keeper)

    async def test() -> None:
        async with holding() as held:
            for headers in (PARENTED, {}):
                body = {"model": "model", "input": "a"}
                answer = await held.http.post("/v1/embeddings", json=body, headers=headers)
                assert answer.status_code == 500
                assert lines[-1]["request_id"] == answer.headers["x-request-id"]
                trace = read_trace_context(answer.headers)
                named = {} if trace is None else {"trace_id": trace.trace_id, "span_id": trace.parent_id}
                assert {name: lines[-1][name] for name in ("trace_id", "span_id") if name in lines[-1]} == named

    try:
        run(test)
    finally:
        logger.removeHandler(keeper)
    assert [line.get("trace_id") for line in lines] == [TRACE, None]


def test_what_is_to_be_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "inferox.server.otlp")
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    config = ServerConfig(port=0, otlp_endpoint="http://127.0.0.1:4318")
    with pytest.raises(ConfigError, match=r"--otlp-endpoint needs opentelemetry.*pip install 'inferox\[serve,otel\]'"):
        serve(config, ModelRepository([], None, {}), print)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"otlp_endpoint": "collector:4318"}, "must be the URL"),
        ({"otlp_endpoint": "http://"}, "must be the URL"),
        ({"otlp_endpoint": "http://collector:70000"}, "must be the URL"),
        ({"otlp_endpoint": "http://collector:0"}, "must be the URL"),
        ({"otlp_endpoint": "http://collector/?token=a"}, "must be the URL"),
        (
            {"otlp_endpoint": "http://user:word@collector"},
            "^otlp_endpoint has a user's name or password, which the log",
        ),
        ({"otlp_endpoint": "http://collector", "trace_share": 1.5}, "from 0 to 1"),
        ({"trace_share": 0.5}, "--otlp-endpoint"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        ServerConfig(**settings)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_about_the_share_that_is_wanted_is_sampled(share: float) -> None:
    sampled = sum(TraceContext.beginning_here(share).is_sampled for _ in range(1000))
    assert sampled == pytest.approx(1000 * share, abs=0 if share in {0.0, 1.0} else 120)


VALUES = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters=",="), min_size=1, max_size=9
).filter(lambda value: not value.endswith(" "))


@given(VALUES, st.integers(1, 40), st.sampled_from([",", " , ", ",,", "\t,"]))
def test_a_state_goes_on_as_it_came_as_long_as_it_has_as_many_members_as_it_may(
    value: str, members: int, comma: str
) -> None:
    state = [f"0a_*/@-{member}={value}" for member in range(members)]
    found = read_trace_context({"traceparent": PARENTED["traceparent"], "tracestate": comma.join(state)})
    assert found is not None
    assert found.state == (",".join(state) if members <= 32 else None)


@pytest.mark.parametrize("state", ["", ",", "a", "a=", "=b", "A=b", "a=b,a=c", "a=b=c", "a=\x7f", "a=é", "a=b\nc=d"])
def test_a_state_that_is_invalid_is_left_out(state: str) -> None:
    found = read_trace_context({"traceparent": PARENTED["traceparent"], "tracestate": state})
    assert found is not None
    assert found.state is None
    assert found.headers.keys() == {"traceparent"}
