"""Calls that are refused before their messages are read, as no model has room."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc import aio

from inferox.server import ServerConfig
from inferox.server.log_writer import LogWriter
from inferox.server.request_log import RequestLog
from inferox.server.request_observer import RequestObserver
from tests.server.oip.test_grpc import MESSAGES, Asked, asked, infer_of, run, until
from tests.server.test_api_keys import KEYS, make

METHOD = "/inference.GRPCInferenceService/ModelInfer"
NO_MESSAGE = b"\xff\xff\xff"
"""What a call that is read is refused for as no message."""

FULL, UNREAD = grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT


@asynccontextmanager
async def crowded(
    config: ServerConfig | None = None, metadata: Any = None, observer: RequestObserver | None = None
) -> AsyncIterator[Asked]:
    """A server whose model has no room, since one owner has so much in progress."""
    async with asked(config or ServerConfig(timeout_s=2.0), observer) as server:

        def ask(number: int) -> Any:
            return asyncio.ensure_future(server.call("ModelInfer", infer_of(f"text {number}"), metadata=metadata))

        model = server.model
        model.may_go.clear()
        for late in [ask(number) for number in range(8)]:
            with pytest.raises(aio.AioRpcError) as caught:
                await late
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        under_way = [ask(number) for number in range(4)]
        # The window has room for one.
        await until(lambda: sum(task.done() for task in under_way) == 3)
        yield server
        model.may_go.set()
        ends = await asyncio.gather(*under_way, return_exceptions=True)
        assert sorted(isinstance(end, aio.AioRpcError) and end.code() is FULL for end in ends) == [False, *[True] * 3]


async def refuse(server: Asked, content: bytes = NO_MESSAGE, metadata: Any = None) -> aio.AioRpcError:
    """The error of a call that cannot succeed."""
    with pytest.raises(aio.AioRpcError) as caught:
        await server.channel.unary_unary(METHOD)(content, metadata=metadata)
    return caught.value


def test_whoever_is_refused_unread_is_told_the_same_as_whoever_was_read() -> None:
    trace = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
    metadata = (("traceparent", trace),)

    async def test() -> None:
        async with crowded() as server:
            early = await refuse(server, metadata=metadata)
            server.service.load_again("other", server.service.sources["model"])  # which has room
            assert (await refuse(server)).code() is UNREAD
            late = await refuse(server, infer_of("a").SerializeToString(), metadata)
            assert (early.code(), early.details()) == (late.code(), late.details())
            assert early.code() is FULL
            assert "more would finish too late" in early.details()
            first, second = dict(early.trailing_metadata()), dict(late.trailing_metadata())
            assert first.keys() == second.keys() == {"x-request-id", "retry-after", "retry-after-ms", "traceparent"}
            assert first["retry-after"] == second["retry-after"]
            assert str(first["traceparent"])[:35] == trace[:35]

    run(test)


def test_what_computes_nothing_is_answered_and_what_ends_is_read() -> None:
    async def test() -> None:
        async with crowded() as server:
            assert (await server.call("ServerLive", MESSAGES.of("ServerLiveRequest")())).live
            told = await server.call("ModelMetadata", MESSAGES.of("ModelMetadataRequest")(name="model"))
            assert told.name == "model"
            server.service.is_draining = True
            assert (await refuse(server)).code() is UNREAD
            server.service.is_draining = False
            assert (await refuse(server)).code() is FULL

    run(test)


def test_large_messages_are_not_waited_for() -> None:
    async def test() -> None:
        async with crowded() as server:
            content = infer_of("a" * 4_000_000).SerializeToString()
            refused = await asyncio.gather(*[refuse(server, content) for _ in range(32)])
            assert {error.code() for error in refused} == {FULL}
        async with asked() as server:  # and the connections of others go on
            assert (await server.call("ModelInfer", infer_of("a"))).outputs

    run(test)


def test_keys_are_asked_for_first_and_every_owner_has_a_share() -> None:
    alice, bob = ((("authorization", f"Bearer {KEYS[name].decode()}"),) for name in ("alice", "bob"))

    async def test() -> None:
        config = ServerConfig(timeout_s=2.0, api_keys=(make(), make("bob")))
        async with crowded(config, alice) as server:
            for metadata in (None, (("x-api-key", "unknown"),)):
                assert (await refuse(server, metadata=metadata)).code() is grpc.StatusCode.UNAUTHENTICATED
            assert (await refuse(server, metadata=alice)).code() is FULL
            assert (await refuse(server, metadata=bob)).code() is UNREAD

    run(test)


def test_what_this_process_has_no_room_for_is_not_read() -> None:
    async def test() -> None:
        async with asked(ServerConfig(request_limit=1)) as server:
            server.model.may_go.clear()
            first = asyncio.ensure_future(server.call("ModelInfer", infer_of("abc")))
            await until(server.model.has_begun.is_set)
            await until(lambda: server.server._calls._intake.is_full)
            refused = await refuse(server)
            assert (refused.code(), "already has 1 unanswered request" in refused.details()) == (FULL, True)
            assert dict(refused.trailing_metadata())["retry-after"] == "1"
            server.model.may_go.set()
            assert (await first).outputs

    run(test)


def test_a_stream_goes_on_and_its_requests_are_refused_before_their_tensors_are_read() -> None:
    async def test() -> None:
        async with crowded() as server:
            stream = server.channel.stream_stream(
                "/inference.GRPCInferenceService/ModelStreamInfer",
                request_serializer=lambda sent: sent.SerializeToString(),
                response_deserializer=MESSAGES.of("ModelStreamInferResponse").FromString,
            )()

            async def ask(message: Any) -> Any:
                await stream.write(message)
                return await stream.read()

            wrong = infer_of("a", id="wrong")
            wrong.inputs[0].shape[0] = 5
            for message in (infer_of("a", id="right"), wrong):
                told = await ask(message)
                assert "more would finish too late" in told.error_message
                assert told.infer_response.id == message.id
            server.model.may_go.set()
            await until(lambda: not server.service.has_full)
            told = await ask(wrong)
            assert "has the shape [5], but its contents have 1 element" in told.error_message
            async with asyncio.timeout(10):
                while (told := await ask(infer_of("a", id="again"))).error_message:
                    assert "the answer is needed within" in told.error_message  # what was held is still in progress
                    await asyncio.sleep(0.02)
            await stream.done_writing()

    run(test)


def test_refusals_are_logged() -> None:
    written = io.BytesIO()
    writer = LogWriter(written, lambda lines: b"%d" % lines)
    alice = (("x-api-key", KEYS["alice"].decode()),)

    async def test() -> None:
        config = ServerConfig(timeout_s=2.0, api_keys=(make(),))
        async with crowded(config, alice, RequestObserver(RequestLog("json", writer))) as server:
            await refuse(server, metadata=alice)

    run(test)
    writer.close()
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    unread = [line for line in lines if line["status"] == "RESOURCE_EXHAUSTED" and not line["received_bytes"]]
    assert {(line["method"], line["api_key"]) for line in unread} == {("ModelInfer", "alice")}
