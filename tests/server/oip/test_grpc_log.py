"""The log of calls."""

from __future__ import annotations

import io
import json

import pytest
from grpc import aio

from inferox.server.log_writer import LogWriter
from inferox.server.request_log import RequestLog
from inferox.server.request_observer import RequestObserver
from tests.server.oip.test_grpc import MESSAGES, asked, infer_of, run

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_calls_are_logged_and_go_on_in_their_trace() -> None:
    stream = io.BytesIO()
    writer = LogWriter(stream, lambda lines: f"lost {lines}".encode())

    async def test() -> None:
        async with asked(observer=RequestObserver(RequestLog("json", writer))) as server:
            metadata = (("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"),)
            call = server.call("ModelInfer", infer_of("a"), metadata=metadata)
            await call
            told = dict(await call.trailing_metadata())
            assert str(told["traceparent"]).startswith(f"00-{TRACE}-")
            with pytest.raises(aio.AioRpcError):
                await server.call("ModelInfer", infer_of("a", model_version="9"))
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
        ("ModelStreamInfer", "OK", "model"),
    ]
    assert [line.get("trace_id") for line in lines] == [TRACE, None, None]
