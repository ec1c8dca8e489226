"""Connections whose clients are slow, greedy, or gone: none of them costs anything lasting."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvloop

from inferox.server import ServerConfig
from inferox.server.connection import Connection
from inferox.server.http_response import HttpResponse
from inferox.server.http_server import HttpServer
from inferox.server.intake import Intake

SHORT_S = 0.3
GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
LARGE_BYTES = 64 * 2**20

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Server:
    """A server whose application answers with ``large`` or with a short body."""

    def __init__(self, http: HttpServer, intake: Intake, port: int) -> None:
        self.http = http
        self.intake = intake
        self.port = port

    async def connect(self) -> Streams:
        return await asyncio.open_connection("127.0.0.1", self.port)

    @property
    def connections(self) -> list[Connection]:
        return [item for item in self.http.server_state.connections if isinstance(item, Connection)]

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not is_so():
                await asyncio.sleep(0.002)


async def answer(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(2 * SHORT_S)
    body = {"/large": bytes(LARGE_BYTES), "/full": b"full"}.get(scope["path"], b"little")
    if scope["path"] == "/headers":
        await receive()
        body = b" ".join(name for name, _ in scope["headers"])
    if scope["path"] == "/echo":
        body, is_more = b"", True
        while is_more:
            message = await receive()
            body, is_more = body + message["body"], message["more_body"]
    status = 429 if scope["path"] == "/full" else 200
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def refuse(scope: Any) -> HttpResponse | None:
    return HttpResponse(b"full", 429, headers={"retry-after": "1"}) if scope["path"] == "/full" else None


@asynccontextmanager
async def listening(config: ServerConfig) -> AsyncIterator[Server]:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        intake = Intake(config.request_limit, LARGE_BYTES // 2)
        http = HttpServer(answer, config, refuse, intake.count_unread)
        serving = asyncio.create_task(http.serve(sockets=[listener]))
        server = Server(http, intake, listener.getsockname()[1])
        await server.until(lambda: http.started)
        yield server
        http.should_exit = True
        await serving


def run(test: Callable[[Server], Awaitable[None]], config: ServerConfig | None = None) -> None:
    async def main() -> None:
        async with listening(config or ServerConfig()) as server:
            await test(server)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


@pytest.mark.parametrize(
    "sent", [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nhost: a\r\nx"], ids=["method", "line", "header"]
)
def test_headers_that_do_not_come_are_given_up(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferox.server.connection._HEADERS_S", SHORT_S)

    async def test(server: Server) -> None:
        reader, writer = await server.connect()
        for byte in sent:  # further bytes do not extend the time for the next ones
            writer.write(bytes([byte]))
            await asyncio.sleep(SHORT_S / 40)
        told = await reader.read()
        assert told.startswith(b"HTTP/1.1 408 ")
        assert b"the headers did not arrive within 0.3 s" in told
        writer.close()
        await server.until(lambda: not server.connections)

    run(test)


@pytest.mark.parametrize("sent", [b"", b"\r\n", GET + b"\r\n"], ids=["nothing", "a line break", "after a request"])
def test_a_connection_without_a_request_is_closed(sent: bytes) -> None:
    async def test(server: Server) -> None:
        reader, writer = await server.connect()
        writer.write(sent)
        told = await asyncio.wait_for(reader.read(), 10)
        assert told.startswith(b"HTTP/1.1 200 ") == sent.startswith(b"GET")
        writer.close()
        await server.until(lambda: not server.connections)

    run(test, ServerConfig(keep_alive_s=SHORT_S))


def test_a_connection_outlives_the_time_of_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferox.server.connection._HEADERS_S", SHORT_S / 3)

    async def test(server: Server) -> None:
        reader, writer = await server.connect()
        for _ in range(2):
            await asyncio.sleep(SHORT_S)
            writer.write(GET)
            assert b"200" in await reader.readline()
            await reader.readuntil(b"little")
        writer.close()

    run(test)


@pytest.mark.parametrize(
    ("request_", "what"),
    [
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n", b"may have 100 headers"),
        (b"GET / HTTP/1.1\r\na: " + b"b" * 40_000 + b"\r\n\r\n", b"may take 32,768 bytes"),
        (b"GET /" + b"b" * 40_000 + b" HTTP/1.1\r\n\r\n", b"may take 32,768 bytes"),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"%d: " % i + b"b" * 900 + b"\r\n" for i in range(40)), b"32,768 bytes"),
    ],
    ids=["many", "long", "address", "together"],
)
def test_headers_that_are_too_many_or_too_long_are_refused(request_: bytes, what: bytes) -> None:
    async def test(server: Server) -> None:
        reader, writer = await server.connect()
        writer.write(request_)
        told = await asyncio.wait_for(reader.read(), 10)
        assert told.startswith(b"HTTP/1.1 431 ")
        assert what in told
        writer.close()

    run(test)


def test_as_many_headers_as_are_allowed_are_taken() -> None:
    async def test(server: Server) -> None:
        reader, writer = await server.connect()
        writer.write((b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 100 + b"\r\n") * 2)
        for _ in range(2):
            assert b"200" in await reader.readline()
            await reader.readuntil(b"little")
        writer.close()

    run(test)


def test_a_client_that_does_not_read_its_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferox.server.connection._FLUSH_EVERY_S", SHORT_S)

    async def test(server: Server) -> None:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(GET.replace(b"/", b"/large", 1))
            await server.until(lambda: any(item.transport.get_write_buffer_size() for item in server.connections))
            await server.until(lambda: not server.connections)

    run(test)


def test_a_client_that_reads_slowly_gets_all_of_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferox.server.connection._FLUSH_EVERY_S", SHORT_S)

    async def test(server: Server) -> None:
        reader, writer = await server.connect()
        writer.write(GET.replace(b"/", b"/large", 1))
        await reader.readuntil(b"\r\n\r\n")
        left = LARGE_BYTES
        for _ in range(8):
            left -= len(await reader.readexactly(LARGE_BYTES // 16))
            await asyncio.sleep(SHORT_S / 2)
        assert len(await reader.readexactly(left)) == left
        writer.close()

    run(test)


@pytest.mark.parametrize("reads", [True, False], ids=["reads", "leaves"])
def test_what_a_client_has_not_read_leaves_less_room_for_others(reads: bool) -> None:
    async def test(server: Server) -> None:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.setblocking(False)
            client.sendall(GET.replace(b"/", b"/large", 1) + GET)
            await server.until(lambda: server.intake.is_full)
            refusal = server.intake.find_refusal(0)
            assert refusal is not None
            assert "unanswered requests and unread answers take" in str(refusal)
            received = b""
            while reads and not received.endswith(b"little"):
                received = (received + await asyncio.get_running_loop().sock_recv(client, 2**20))[-8:]
            assert server.intake.is_full is not reads
        await server.until(lambda: server.intake.find_refusal(LARGE_BYTES // 2) is None)

    run(test)


def test_the_rest_of_a_body_whose_request_is_answered_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferox.server.connection._REST_S", SHORT_S)
    head = b"POST / HTTP/1.1\r\ncontent-length: 100\r\n\r\n"

    async def test(server: Server) -> None:
        reader, writer = await server.connect()
        writer.write(head + bytes(50))
        await reader.readuntil(b"little")
        writer.write(bytes(50) + head + bytes(50))  # it arrives in time, and another request after it
        await reader.readuntil(b"little")
        writer.write(b"\0")
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()

    run(test)


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes, dict[bytes, bytes]]:
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).split(b"\r\n")
    headers = dict(line.split(b": ") for line in head[1:] if line)
    return int(head[0].split()[1]), await reader.readexactly(int(headers[b"content-length"])), headers


def test_what_is_refused_by_its_head_leaves_the_connection_as_it_was() -> None:
    body = b"POST / HTTP/1.1\r\nhost: no\r\n\r\n"  # which is not a request
    full = b"POST /full HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body)
    cases = (
        ((full + body,), [429]),
        ((full, body), [429]),
        ((full + body[:9], body[9:] + GET), [429, 200]),
        ((full + body + full, body), [429, 429]),
    )

    async def test(server: Server) -> None:
        reader, writer = await server.connect()
        for parts, statuses in cases:
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0.01)
            assert [(await read_answer(reader))[0] for _ in statuses] == statuses
        writer.write(full + body + GET + full + body + GET)
        answers = [await read_answer(reader) for _ in range(4)]
        assert [(status, content) for status, content, _ in answers] == [(429, b"full"), (200, b"little")] * 2
        refused, taken = answers[0][2], answers[1][2]
        assert refused.items() >= {b"retry-after": b"1", b"content-type": b"application/json"}.items()
        assert refused[b"date"] == taken[b"date"]  # like every answer
        assert server.http.server_state.total_requests == 10
        writer.close()

    run(test)


OFFERS = {
    "h2c": b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAAB\r\n",
    "websocket": b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n",
}


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_a_body_after_an_offer_of_another_protocol_is_read(offer: bytes) -> None:
    start = b"POST /echo HTTP/1.1\r\n" + offer
    counted = start + b"content-length: 6\r\n\r\nabcdef"
    chunked = start + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"
    empty, full = start + b"content-length: 0\r\n\r\n", counted.replace(b"/echo", b"/full")
    get = GET.replace(b"host: a\r\n", offer)
    sent = counted + chunked + empty + get + GET + full + counted + b"\r\n" + chunked
    expected = [b"abcdef", b"abcdef", b"", b"little", b"little", b"full", b"abcdef", b"abcdef"]

    async def test(server: Server) -> None:
        for size in (len(sent), 1, 7, 50):
            reader, writer = await server.connect()
            for at in range(0, len(sent), size):
                writer.write(sent[at : at + size])
                if size < len(sent):
                    await asyncio.sleep(0)
            assert [(await read_answer(reader))[1] for _ in expected] == expected
            writer.close()
        await server.until(lambda: not server.connections)

    run(test)


def test_many_requests_that_offer_another_protocol_are_answered_in_their_turn() -> None:
    async def test(server: Server) -> None:
        reader, writer = await server.connect()
        writer.write(GET.replace(b"host: a\r\n", OFFERS["h2c"]) * 2000)
        assert [(await read_answer(reader))[1] for _ in range(2000)] == [b"little"] * 2000
        writer.write(b"POST /echo HTTP/1.1\r\n" + OFFERS["h2c"] + b"transfer-encoding: chunked\r\n\r\nno size\r\n")
        assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 400 ")
        writer.close()

    run(test)


def test_trailers_are_not_taken_for_headers() -> None:
    head = b"POST /headers HTTP/1.1\r\nx-api-key: a\r\ntransfer-encoding: chunked\r\n"
    rest = b"\r\n3\r\nabc\r\n0\r\nx-api-key: b\r\nexpect: 100-continue\r\n\r\n"

    async def test(server: Server) -> None:
        reader, writer = await server.connect()
        for offer in (b"", OFFERS["h2c"]):
            writer.write(head + offer + rest)
            names = (await read_answer(reader))[1].split()
            assert names.count(b"x-api-key") == 1
            assert b"expect" not in names
        writer.write(head + b"\r\n3\r\nabc\r\n0\r\n" + b"a: b\r\n" * 101 + b"\r\n")
        assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 431 ")
        writer.close()

    run(test)


def test_only_clients_that_know_it_are_told_to_continue() -> None:
    async def test(server: Server) -> None:
        for version, told in ((b"1.0", []), (b"1.1", [b"HTTP/1.1 100 Continue\r\n", b"\r\n"])):
            reader, writer = await server.connect()
            writer.write(b"POST /echo HTTP/%b\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\nabc" % version)
            assert [await reader.readline() for _ in told] == told
            assert (await read_answer(reader))[1] == b"abc"
            writer.close()

    run(test)


SLOW = GET.replace(b"/", b"/slow", 1)
ECHO = b"POST /echo HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (SLOW + b"no request\r\n\r\n", [200, 400]),
        (SLOW + GET + b"no request\r\n\r\n", [200, 200, 400]),
        (SLOW + ECHO + b"no size\r\n", [200, 400]),
        (SLOW + GET + ECHO + b"no size\r\n" + GET, [200, 200, 400]),
        (SLOW + b"POST /full HTTP/1.1\r\ncontent-length: 0\r\n\r\n" + b"no request\r\n\r\n", [200, 429, 400]),
        (SLOW + b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n", [200, 431]),
        (SLOW + b"GET / HTTP/1.1\r\na", [200, 408]),
        (ECHO + b"no size\r\n", [400]),
    ],
    ids=["request", "third", "body", "third body", "refused", "headers", "late", "alone"],
)
def test_a_fault_is_answered_after_the_requests_before_it(
    sent: bytes, statuses: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferox.server.connection._HEADERS_S", SHORT_S)

    async def test(server: Server) -> None:
        reader, writer = await server.connect()
        writer.write(sent)
        await asyncio.sleep(SHORT_S / 10)
        if statuses[-1] != 408:
            writer.write(GET)  # which is not read any more
        assert [(await read_answer(reader))[0] for _ in statuses] == statuses
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        await server.until(lambda: not server.connections)

    run(test)


def test_many_requests_that_wait_behind_another_are_refused_in_their_turn() -> None:
    full = b"POST /full HTTP/1.1\r\ncontent-length: 0\r\n\r\n"

    async def test(server: Server) -> None:
        reader, writer = await server.connect()
        writer.write(GET.replace(b"/", b"/slow", 1) + full * 2000)
        assert [(await read_answer(reader))[0] for _ in range(2001)] == [200] + [429] * 2000
        writer.close()

    run(test)


def test_a_request_behind_one_that_is_refused_may_take_longer_than_an_idle_connection_is_kept() -> None:
    async def test(server: Server) -> None:
        reader, writer = await server.connect()
        writer.write(b"POST /full HTTP/1.1\r\ncontent-length: 0\r\n\r\n" + GET.replace(b"/", b"/slow", 1))
        assert [(await read_answer(reader))[0] for _ in range(2)] == [429, 200]
        writer.close()

    run(test, ServerConfig(keep_alive_s=SHORT_S))


def test_a_client_that_reads_no_refusals_is_not_read_on() -> None:
    full = b"POST /full HTTP/1.1\r\ncontent-length: 0\r\n\r\n"

    async def test(server: Server) -> None:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.setblocking(False)
            sent = 0
            for _ in range(200):
                with suppress(BlockingIOError):
                    sent += client.send(full * 1000)
                await asyncio.sleep(0.001)
            (connection,) = server.connections
            assert connection.transport.get_write_buffer_size() < 2**20
            assert sent < 200 * 1000 * len(full)

    run(test)


def test_many_connections_that_are_reset_leave_nothing() -> None:
    async def test(server: Server) -> None:
        seen: set[Connection] = set()
        for sent in (b"", b"GET", GET, GET + GET, GET + b"GET / HT", b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n1"):
            clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
            await server.until(lambda: len(server.connections) == 50)
            for client in clients:
                client.sendall(sent)
            await asyncio.sleep(0.02)
            seen.update(server.connections)
            for client in clients:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # a reset
                client.close()
            await server.until(lambda: not server.connections)
        await server.until(lambda: not server.http.server_state.tasks)
        assert len(seen) == 300
        timers = [timer for item in seen for timer in (item.timeout_keep_alive_task, item._header_timer)]
        assert all(timer is None or timer.cancelled() for timer in timers)

    run(test)
