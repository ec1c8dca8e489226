"""The protocol over gRPC, in this process and in a server of its own."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import trustme
from grpc import aio

from inferox import Engine, EngineConfig
from inferox.core import RequestError
from inferox.server import ModelSource, ServerConfig
from inferox.server.api_key import ApiKey
from inferox.server.app import App
from inferox.server.grpc_server import GrpcServer
from inferox.server.oip.grpc_infer import read_grpc_infer
from inferox.server.oip.grpc_messages import HEALTH, INFERENCE, GrpcMessages
from inferox.server.request_observer import RequestObserver
from inferox.server.service import Service
from tests.conftest import Command
from tests.engine.models import POISON, DoublingModel
from tests.server.models import HERE, made
from tests.server.oip.triton import triton_client
from tests.server.running import RunningServer, running, wait_until

MESSAGES, HEALTH_MESSAGES = GrpcMessages(INFERENCE), GrpcMessages(HEALTH)
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
PROTOS = Path(sys.modules[GrpcMessages.__module__].__file__ or "").parent / "protos"


class Asked:
    """A gRPC server in this process, whose only model makes vectors of one number and can be held."""

    def __init__(self, engine: Engine, service: Service, server: GrpcServer, channel: aio.Channel) -> None:
        self.engine = engine
        self.service = service
        self.server = server
        self.channel = channel

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    @property
    def model(self) -> DoublingModel:
        return made[-1]

    def call(self, method: str, message: Any, **options: Any) -> Any:
        """Starts a call."""
        ask = self.channel.unary_unary(
            f"/inference.GRPCInferenceService/{method}",
            request_serializer=lambda sent: sent.SerializeToString(),
            response_deserializer=MESSAGES.of(f"{method}Response").FromString,
        )
        return ask(message, **options)


@asynccontextmanager
async def asked(
    config: ServerConfig | None = None, observer: RequestObserver | None = None, *, is_loaded: bool = True
) -> AsyncIterator[Asked]:
    config = config or ServerConfig()
    with Engine(EngineConfig(refuse_non_finite=True)) as engine:
        service = Service(engine, timeout_s=config.timeout_s)
        if is_loaded:
            service.load([ModelSource(HERE, "model", {"trust_code": True})])
        app = App(service, config, observer or RequestObserver())
        server = GrpcServer(app, service, config, port=0)
        await server.start()
        try:
            async with aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
                yield Asked(engine, service, server, channel)
        finally:
            if is_loaded:
                made[-1].may_go.set()
            await server.stop(0)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))


def infer_of(*texts: str, **more: Any) -> Any:
    message = MESSAGES.of("ModelInferRequest")(model_name="model", **more)
    item = message.inputs.add(name="text", datatype="BYTES", shape=[len(texts)])
    item.contents.bytes_contents.extend(text.encode() for text in texts)
    return message


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0.002)


def test_what_is_read_is_what_the_files_say(tmp_path: Path) -> None:
    made_again = tmp_path / "protos"
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--descriptor_set_out={made_again}"]
    subprocess.run([*command, "inference.proto", "health.proto"], cwd=PROTOS, check=True)  # noqa: S603
    assert (PROTOS / "protos.binpb").read_bytes() == made_again.read_bytes(), "run 'make protos'"


def test_answers_are_typed_as_requests_are() -> None:
    async def test() -> None:
        async with asked() as server:
            answer = await server.call("ModelInfer", infer_of("a", "b", id="mine"))
            assert (answer.id, answer.model_version) == ("mine", "1")
            (output,) = answer.outputs
            assert (output.name, output.datatype, list(output.shape)) == ("embedding", "FP32", [2, 1])
            assert list(output.contents.fp32_contents) == [194, 196]
            assert not answer.raw_output_contents

    run(test)


@pytest.mark.parametrize(
    ("datatype", "field", "elements"),
    [
        ("BOOL", "bool_contents", [True, False]),
        ("INT8", "int_contents", [-128, 127]),
        ("INT16", "int_contents", [-(2**15), 2**15 - 1]),
        ("INT32", "int_contents", [-(2**31), 2**31 - 1]),
        ("INT64", "int64_contents", [-(2**63), 2**63 - 1]),
        ("UINT8", "uint_contents", [0, 255]),
        ("UINT16", "uint_contents", [0, 2**16 - 1]),
        ("UINT32", "uint_contents", [0, 2**32 - 1]),
        ("UINT64", "uint64_contents", [0, 2**64 - 1]),
        ("FP32", "fp32_contents", [0.5, float("inf")]),
        ("FP64", "fp64_contents", [0.1, -1e300]),
        ("BYTES", "bytes_contents", [b"", b"\xff"]),
    ],
)
def test_every_type_has_a_field(datatype: str, field: str, elements: list[Any]) -> None:
    message = MESSAGES.of("ModelInferRequest")()
    item = message.inputs.add(name="x", datatype=datatype, shape=[2, 1])
    getattr(item.contents, field).extend(elements)
    array = read_grpc_infer(message).inputs["x"].array
    assert (array.shape, array.reshape(-1).tolist()) == ((2, 1), elements)


def wrong(datatype: str = "FP32", *, shape: tuple[int, ...] = (1,), raw: Any = (), **contents: Any) -> Any:
    message = MESSAGES.of("ModelInferRequest")(raw_input_contents=raw)
    item = message.inputs.add(name="x", datatype=datatype, shape=shape)
    for name, elements in contents.items():
        getattr(item.contents, name).extend(elements)
    return message


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (wrong(), "its contents have 0 elements"),
        (wrong(shape=(2,), fp32_contents=[1]), "its contents have 1 element"),
        (wrong(fp64_contents=[1]), "whose elements are in fp32_contents, but has fp64_contents"),
        (wrong("INT8", int_contents=[128]), "out of its range"),
        (wrong("FP16", fp32_contents=[1]), "only be sent in raw_input_contents"),
        (wrong("BF16", raw=[b"123"]), "takes 2 bytes, but there are 3"),
        (wrong(raw=[b"1234"], fp32_contents=[1]), "has both contents and an entry in raw_input_contents"),
        (wrong(raw=[b"1234", b""]), "each of the 1 inputs, but has 2"),
        (wrong("TEXT"), "one of the data types"),
    ],
)
def test_what_is_wrong_in_a_message_is_named(message: Any, what: str) -> None:
    with pytest.raises(RequestError, match=what):
        read_grpc_infer(message)


def test_what_is_said_of_a_tensor_cannot_choose_for_the_request() -> None:
    of_input, of_output = infer_of("a"), infer_of("a")
    of_input.inputs[0].parameters["truncate"].bool_param = True
    of_output.outputs.add(name="embedding").parameters["output_datatype"].string_param = "BF16"
    for message, what in ((of_input, "truncate .* not of input 'text'"), (of_output, "not of output 'embedding'")):
        with pytest.raises(RequestError, match=what):
            read_grpc_infer(message)


def test_errors_have_a_status_and_an_id(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with asked(ServerConfig(timeout_s=20)) as server:

            async def fails(message: Any, **more: Any) -> aio.AioRpcError:
                with pytest.raises(aio.AioRpcError) as caught:
                    await server.call("ModelInfer", message, **more)
                assert dict(caught.value.trailing_metadata())["x-request-id"].startswith("req_")
                return caught.value

            unknown = infer_of("a")
            unknown.model_name = "other"
            assert (await fails(unknown)).code() is grpc.StatusCode.NOT_FOUND
            assert (await fails(infer_of("!"))).code() is grpc.StatusCode.INVALID_ARGUMENT
            for names in (["torch"], ["torch", "openvino"]):
                asking = [("inferox-artifact", name) for name in names]
                not_offered = await fails(infer_of("a"), metadata=asking)
                assert not_offered.code() is grpc.StatusCode.INVALID_ARGUMENT
                assert f"{','.join(names)!r} was requested" in not_offered.details().replace(", ", ",")
            failed = await fails(infer_of(chr(POISON)))
            assert failed.code() is grpc.StatusCode.INTERNAL
            assert "poison" not in failed.details()
            assert "poison" in caplog.text
            server.engine.close()
            closed = await fails(infer_of("a"))
            assert closed.code() is grpc.StatusCode.UNAVAILABLE
            assert dict(closed.trailing_metadata())["retry-after"] == "1"

    run(test)


def test_a_model_that_may_still_be_loading_is_not_ready() -> None:
    async def test() -> None:
        async with asked(is_loaded=False) as server:
            assert not (await server.call("ModelReady", MESSAGES.of("ModelReadyRequest")(name="model"))).ready

    run(test)


def test_a_version_that_is_not_loaded_is_refused_by_every_call() -> None:
    async def test() -> None:
        async with asked() as server:
            for method in ("ModelMetadata", "ModelConfig", "ModelStatistics"):
                named = MESSAGES.of(f"{method}Request")(name="model", version="1")
                assert "model" in str(await server.call(method, named))
                named.version = "2"
                with pytest.raises(aio.AioRpcError) as caught:
                    await server.call(method, named)
                assert caught.value.code() is grpc.StatusCode.NOT_FOUND

    run(test)


def test_what_is_not_a_message_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with asked() as server:
            for method in ("inference.GRPCInferenceService/ModelInfer", "grpc.health.v1.Health/Check"):
                with pytest.raises(aio.AioRpcError) as caught:
                    await server.channel.unary_unary(f"/{method}")(b"\xff\xff\xff")
                assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
                assert "is not a " in caught.value.details()
            stream = server.channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
            sent = [b"\xff\xff\xff", infer_of("a", id="good").SerializeToString()]
            read = MESSAGES.of("ModelStreamInferResponse").FromString
            first, second = [read(answer) async for answer in stream(iter(sent))]
            assert "is not a ModelInferRequest" in first.error_message
            assert second.infer_response.id == "good"
            assert not caplog.text  # or strangers could fill the log

    run(test)


def test_a_key_is_required_except_for_monitoring() -> None:
    key, known = (
        ApiKey(name="alice", sha256=hashlib.sha256(b"secret").hexdigest()),
        (("authorization", "Bearer secret"),),
    )

    async def test() -> None:
        async with asked(ServerConfig(api_keys=(key,))) as server:
            stream = server.channel.stream_stream(
                "/inference.GRPCInferenceService/ModelStreamInfer",
                request_serializer=lambda sent: sent.SerializeToString(),
                response_deserializer=MESSAGES.of("ModelStreamInferResponse").FromString,
            )
            for metadata in ((), (("authorization", "Bearer guessed"),), (("authorization-bin", b"Bearer secret"),)):
                for method, message in (("ModelInfer", infer_of("a")), ("ServerMetadata", infer_of("a"))):
                    with pytest.raises(aio.AioRpcError) as caught:
                        await server.call(method, message, metadata=metadata)
                    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
                with pytest.raises(aio.AioRpcError) as caught:
                    [answer async for answer in stream(iter([infer_of("a")]), metadata=metadata)]
                assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert not server.model.batches[1:]  # the first is the engine's own
            assert (await server.call("ModelInfer", infer_of("a"), metadata=known)).outputs
            answers = [answer async for answer in stream(iter([infer_of("a")] * 3), metadata=known)]
            assert [bool(answer.error_message) for answer in answers] == [False] * 3
            assert (await server.call("ServerLive", MESSAGES.of("ServerLiveRequest")())).live
            check = health_of(server.channel, "Check")
            assert (await check(HEALTH_MESSAGES.of("HealthCheckRequest")())).status == NOT_SERVING

    run(test)


def test_tls_is_spoken_with_the_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())

    async def test() -> None:
        async with asked(ServerConfig(tls_cert=cert, tls_key=key)) as server:
            live = MESSAGES.of("ServerLiveRequest")()
            with pytest.raises(aio.AioRpcError) as caught:
                await server.call("ServerLive", live)  # without TLS
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            trusted = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
            async with aio.secure_channel(server.place, trusted) as channel:
                server.channel = channel
                assert (await server.call("ServerLive", live)).live

    run(test)


def test_messages_without_room_are_refused() -> None:
    async def test() -> None:
        async with asked(ServerConfig(request_limit=1)) as server:
            server.model.may_go.clear()
            first = asyncio.ensure_future(server.call("ModelInfer", infer_of("abc")))
            await until(server.model.has_begun.is_set)
            with pytest.raises(aio.AioRpcError) as caught:
                await server.call("ModelInfer", infer_of("abc"))
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            live = await server.call("ServerLive", MESSAGES.of("ServerLiveRequest")())
            assert live.live
            server.model.may_go.set()
            await first

    run(test)


def test_a_message_that_is_too_large_is_refused_compressed_or_not() -> None:
    async def test() -> None:
        async with asked(ServerConfig(body_limit_bytes=10_000)) as server:
            for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
                with pytest.raises(aio.AioRpcError) as caught:
                    await server.call("ModelInfer", infer_of("a" * 20_000), compression=compression)
                assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            small = await server.call("ModelInfer", infer_of("aaa"), compression=grpc.Compression.Gzip)
            assert len(small.outputs) == 1

    run(test)


def test_a_client_that_goes_away_costs_nothing_more() -> None:
    async def test() -> None:
        async with asked() as server:
            server.model.may_go.clear()
            first = asyncio.ensure_future(server.call("ModelInfer", infer_of("abc")))
            await until(server.model.has_begun.is_set)
            second = server.call("ModelInfer", infer_of("def"))
            third = server.call("ModelInfer", infer_of("ghi"), timeout=0.05)
            await until(lambda: server.engine.stats("model").waiting_rows == 2)
            second.cancel()
            with pytest.raises(aio.AioRpcError) as caught:
                await third
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            await until(lambda: server.engine.stats("model").waiting_rows == 0)
            server.model.may_go.set()
            await first
            await server.call("ModelInfer", infer_of("j"))
            computed = [row for batch in server.model.batches for row in batch]
            assert [[ord(letter) for letter in word] for word in ("abc", "j")] == computed[-2:]

    run(test)


def test_a_stream_answers_in_order_and_goes_on_after_an_error() -> None:
    async def test() -> None:
        async with asked() as server:
            stream = server.channel.stream_stream(
                "/inference.GRPCInferenceService/ModelStreamInfer",
                request_serializer=lambda sent: sent.SerializeToString(),
                response_deserializer=MESSAGES.of("ModelStreamInferResponse").FromString,
            )
            texts = ["a", "!", *(str(number) for number in range(200))]
            requests = [infer_of(text, id=str(index)) for index, text in enumerate(texts)]
            answers = [answer async for answer in stream(iter(requests))]
            assert [answer.infer_response.id for answer in answers] == [request.id for request in requests]
            assert [bool(answer.error_message) for answer in answers] == [text == "!" for text in texts]
            assert "is loud" in answers[1].error_message
            # Leaving one while it computes costs nothing more.
            server.model.may_go.clear()
            left = stream(iter([infer_of("zz"), infer_of("yy")]))
            server.model.has_begun.clear()
            reading = asyncio.ensure_future(left.read())
            await until(server.model.has_begun.is_set)
            left.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            await until(lambda: server.engine.stats("model").waiting_rows == 0)

    run(test)


def test_a_stream_that_is_left_with_more_requests_than_are_computed_leaves_nothing() -> None:
    async def test() -> None:
        async with asked() as server:
            stream = server.channel.stream_stream(
                "/inference.GRPCInferenceService/ModelStreamInfer",
                request_serializer=lambda sent: sent.SerializeToString(),
                response_deserializer=MESSAGES.of("ModelStreamInferResponse").FromString,
            )
            server.model.may_go.clear()
            before = asyncio.all_tasks()
            left = stream(infer_of(str(number)) for number in range(100))
            reading = asyncio.ensure_future(left.read())
            await until(lambda: len(asyncio.all_tasks()) > len(before) + 64)
            await asyncio.sleep(0.05)  # until it waits for room
            left.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            server.model.may_go.set()
            await until(lambda: not any("GrpcService" in repr(task) for task in asyncio.all_tasks() - before))

    run(test)


def health_of(channel: Any, method: str) -> Any:
    make = channel.unary_unary if method == "Check" else channel.unary_stream
    return make(
        f"/grpc.health.v1.Health/{method}",
        request_serializer=lambda sent: sent.SerializeToString(),
        response_deserializer=HEALTH_MESSAGES.of("HealthCheckResponse").FromString,
    )


def test_health_is_that_of_the_server_or_of_a_model(task_server: RunningServer) -> None:
    request = HEALTH_MESSAGES.of("HealthCheckRequest")
    with grpc.insecure_channel(task_server.grpc_place) as channel:
        check, watch = health_of(channel, "Check"), health_of(channel, "Watch")
        for name in ("", "inference.GRPCInferenceService", "embed"):
            assert check(request(service=name)).status == SERVING
        with pytest.raises(grpc.RpcError) as caught:
            check(request(service="other"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        unknown = watch(request(service="other"))
        assert next(unknown).status == SERVICE_UNKNOWN
        unknown.cancel()


def test_a_port_in_use_is_said_before_anything_loads(
    task_server: RunningServer, inferox: Command, tmp_path: Path
) -> None:
    port = task_server.grpc_place.rpartition(":")[2]
    done = inferox("serve", tmp_path / "missing.mlpkg", "--port", "0", "--grpc-port", port)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines()[0] == f"inferox: cannot listen on port {port} of 127.0.0.1: it is in use"


def test_no_call_of_those_who_call_again_and_again_is_cancelled_when_it_stops() -> None:
    async def test() -> None:
        async with asked() as server:
            answers: list[Any] = []

            async def keep() -> str:
                while True:
                    try:
                        answers.append(await server.call("ModelInfer", infer_of("a")))
                    except aio.AioRpcError as error:
                        return f"{error.code().name}: {error.details()}"

            server.model.may_go.set()
            calling = [asyncio.create_task(keep()) for _ in range(16)]
            await until(lambda: len(answers) >= 100)
            await server.server.stop(10)
            ends = await asyncio.gather(*calling)
            assert all(end.startswith("UNAVAILABLE: ") and "connect" in end for end in ends), ends  # it was never sent

    run(test)


def test_sigterm_answers_what_came_and_what_still_comes(served_packages: dict[str, Path]) -> None:
    options = ("--threads", "1", "--drain-delay", "0.5", "--grpc-port", "0")
    with running(f"embed={served_packages['embed']}", *options) as server:
        server.wait_until_ready()
        with triton_client("grpc", server.grpc_place) as client, grpc.insecure_channel(server.grpc_place) as channel:
            watched = health_of(channel, "Watch")(HEALTH_MESSAGES.of("HealthCheckRequest")())
            assert next(watched).status == SERVING
            texts = {"name": "text", "datatype": "BYTES", "data": ["a text of some length " * 6] * 64}
            requests = [{"model_name": "embed", "inputs": [texts], "request_id": str(index)} for index in range(20)]
            assert client.call("is_server_ready") is True
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: server.http.get("/v2/health/ready").status_code == 503)
            assert client.call("is_server_ready") is False
            assert next(watched).status == NOT_SERVING
            watched.cancel()
            answers = client.call("stream", requests=requests)  # which takes longer than the delay
        assert [np.array(answer["outputs"]["embedding"]).shape for answer in answers] == [(64, 16)] * 20
        server.process.communicate(timeout=20)
        assert server.process.returncode == 0
