"""The log and the metrics of calls."""

from __future__ import annotations

import io
import json

import httpx2
import pytest
from grpc import aio
from prometheus_client.parser import text_string_to_metric_families

from inferox.server import ServerConfig
from inferox.server.app import App
from inferox.server.log_writer import LogWriter
from inferox.server.request_log import RequestLog
from inferox.server.request_observer import RequestObserver
from tests.server.oip.test_grpc import MESSAGES, asked, infer_of, run

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_calls_are_logged_and_go_on_in_their_trace() -> None:
    stream, told = io.BytesIO(), dict[str, str | bytes]()
    writer = LogWriter(stream, lambda lines: f"lost {lines}".encode())

    async def test() -> None:
        nonlocal told
        async with asked(observer=RequestObserver(RequestLog("json", writer))) as server:
            metadata = (("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"), ("x-request-id", "mine"))
            call = server.call("ModelInfer", infer_of("a"), metadata=metadata)
            await call
            told = dict(await call.trailing_metadata())
            assert str(told["traceparent"]).startswith(f"00-{TRACE}-")
            assert told["x-request-id"] == "mine"
            with pytest.raises(aio.AioRpcError) as caught:
                await server.call(
                    "ModelInfer", infer_of("a", model_version="9"), metadata=(("x-request-id", "not harmless"),)
                )
            told = dict(caught.value.trailing_metadata())
            assert str(told["x-request-id"]).startswith("req_")
            for method in ("RepositoryModelLoad", "SystemSharedMemoryStatus"):
                with pytest.raises(aio.AioRpcError):
                    await server.channel.unary_unary(f"/inference.GRPCInferenceService/{method}")(b"")
            begin = server.channel.stream_stream(
                "/inference.GRPCInferenceService/ModelStreamInfer",
                request_serializer=lambda sent: sent.SerializeToString(),
                response_deserializer=MESSAGES.of("ModelStreamInferResponse").FromString,
            )
            assert len([answer async for answer in begin(iter([infer_of("a")]))]) == 1

    run(test)
    writer.close()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["method"], line["status"], line.get("model")) for line in lines] == [
        ("ModelInfer", "OK", "model"),
        ("ModelInfer", "NOT_FOUND", "model"),
        ("RepositoryModelLoad", "PERMISSION_DENIED", None),
        ("SystemSharedMemoryStatus", "UNIMPLEMENTED", None),
        ("ModelStreamInfer", "OK", "model"),
    ]
    assert [line.get("trace_id") for line in lines] == [TRACE, None, None, None, None]
    assert [line["request_id"] for line in lines[:2]] == ["mine", told["x-request-id"]]


def test_calls_are_counted_by_their_status() -> None:
    async def test() -> None:
        observer = RequestObserver()
        async with asked(observer=observer) as server:
            await server.call("ModelInfer", infer_of("a"))
            await server.call("ServerLive", MESSAGES.of("ServerLiveRequest")())
            with pytest.raises(aio.AioRpcError):
                await server.call("ModelInfer", infer_of("a", model_version="9"))
            app = App(server.service, ServerConfig(), observer)
            async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://server") as http:
                told = (await http.get("/metrics")).text
        samples = [
            (sample.labels, sample.value)
            for family in text_string_to_metric_families(told)
            for sample in family.samples
            if sample.name == "inferox_grpc_requests_total"
        ]
        assert samples == [({"code": "NOT_FOUND"}, 1), ({"code": "OK"}, 2)]

    run(test)
