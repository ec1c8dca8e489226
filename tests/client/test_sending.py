"""Requests that are refused, lost, late, divided, or answered in another embedding space."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme

from inferox import AsyncClient
from inferox.core import (
    ConfigError,
    DeadlineExceededError,
    EmbeddingSpaceError,
    ExecutionError,
    InferoxError,
    InputTooLongError,
    OverloadedError,
    RequestError,
    ResponseError,
    ShuttingDownError,
    TruncationWarning,
    UnreachableError,
)
from inferox.server import ServerConfig
from tests.client.scripted import HANG_UP, Reply, Scripted, refusal, scripted, vector
from tests.server.test_connection import Server
from tests.server.test_connection import run as run_server

LIMIT_S = 20.0
"""The longest that a test may wait for something that happens at once."""


def run(
    script: Sequence[Reply] | Callable[[str, bytes], Reply],
    test: Callable[[AsyncClient, Scripted], Coroutine[Any, Any, None]],
    **options: Any,
) -> None:
    async def run_test() -> None:
        async with (
            asyncio.timeout(LIMIT_S),
            scripted(script) as server,
            AsyncClient(server.url, **{"model": "model", **options}) as client,
        ):
            await test(client, server)

    asyncio.run(run_test())


@pytest.mark.parametrize(
    "refused",
    [
        refusal(429, retry_after_ms="1"),
        refusal(503, retry_after="0"),
        refusal(502),
        HANG_UP,
    ],
)
def test_what_may_succeed_is_sent_again(refused: Reply) -> None:
    async def test(client: AsyncClient, server: Scripted) -> None:
        assert (await client.embed("a text")).tolist() == [2.0]
        assert len(server.asked) == 3

    run([refused, refused, vector("space", 2.0)], test)


def test_the_wait_is_the_one_that_the_server_asks_for() -> None:
    async def test(client: AsyncClient, server: Scripted) -> None:  # noqa: ARG001
        began_s = time.monotonic()
        await client.embed("a text")
        assert time.monotonic() - began_s >= 0.4

    run([refusal(429, retry_after_ms="400"), vector("space", 2.0)], test)


@pytest.mark.parametrize(
    ("refused", "kind"),
    [
        (refusal(400), RequestError),
        (refusal(401), RequestError),
        (refusal(500), ExecutionError),
        (refusal(504), DeadlineExceededError),
        (refusal(429, x_should_retry="false"), OverloadedError),
        (refusal(301), ResponseError),
    ],
)
def test_what_would_fail_again_is_sent_once(refused: Reply, kind: type[InferoxError]) -> None:
    async def test(client: AsyncClient, server: Scripted) -> None:
        with pytest.raises(kind, match=f"the server answered {refused[0]} .*no"):
            await client.embed("a text")
        assert len(server.asked) == 1

    run([refused], test)


def test_tries_end() -> None:
    async def test(client: AsyncClient, server: Scripted) -> None:
        with pytest.raises(ShuttingDownError):
            await client.embed("a text")
        assert len(server.asked) == 3

    run([refusal(503, retry_after_ms="1")], test, retries=2)


def test_nothing_is_waited_for_that_comes_after_the_deadline() -> None:
    async def test(client: AsyncClient, server: Scripted) -> None:
        with pytest.raises(OverloadedError) as raised:
            await client.embed("a text", deadline_s=5)
        assert raised.value.retry_after_s == 60
        assert len(server.asked) == 1

    run([refusal(429, retry_after="60")], test)


def test_a_silent_server_is_given_up() -> None:
    async def listen() -> None:
        async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(be_silent, "127.0.0.1", 0)
        async with AsyncClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout_s=LIMIT_S) as client:
            with pytest.raises(DeadlineExceededError, match="did not answer within"):
                await client.embed("a text", model="model", deadline_s=0.2)
        server.close()

    asyncio.run(listen())


def test_the_server_is_told_how_long_it_has() -> None:
    async def test(client: AsyncClient, server: Scripted) -> None:
        await client.embed("a text", deadline_s=4)
        body = server.asked[0][1]
        head = json.JSONDecoder().raw_decode(body.decode("latin-1"))[0]
        assert 0 < head["parameters"]["timeout"] <= 4_000_000

    run([vector(None, 1.0)], test)


def test_nobody_there_is_one_clear_error() -> None:
    async def ask() -> None:
        async with AsyncClient("http://127.0.0.1:9", retries=1) as client:
            with pytest.raises(UnreachableError, match=r"http://127\.0\.0\.1:9 cannot be reached: ConnectError"):
                await client.embed("a text", model="model")

    asyncio.run(ask())


def count_rows(body: bytes) -> int:
    shape = re.search(rb'"shape": \[(\d+)\]', body)
    assert shape is not None
    return int(shape[1])


def test_large_inputs_are_divided_and_put_together_in_order() -> None:
    def answer(path: str, body: bytes) -> Reply:  # noqa: ARG001
        return vector("space", *[float(body[-1] - 48)] * count_rows(body))

    async def test(client: AsyncClient, server: Scripted) -> None:
        texts = [str(number // 2) for number in range(13)]
        found = await client.embed(texts)
        assert found[:, 0].tolist() == [number // 2 for number in range(13)]
        assert sorted(count_rows(body) for _, body in server.asked) == [1, *[2] * 6]

    run(answer, test, request_rows=2, concurrency=3)


def test_a_request_has_no_more_bytes_than_it_may() -> None:
    def answer(path: str, body: bytes) -> Reply:  # noqa: ARG001
        return vector("space", *[1.0] * count_rows(body))

    async def test(client: AsyncClient, server: Scripted) -> None:
        await client.embed(["a" * 40, "b" * 40, "c" * 40, "d" * 500, "e"])
        assert sorted(count_rows(body) for _, body in server.asked) == [1, 1, 1, 2]

    run(answer, test, request_bytes=100)


def test_no_more_requests_are_open_than_may_be() -> None:
    open_now, most = 0, 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most
        while await reader.readuntil(b"\r\n\r\n"):
            open_now += 1
            most = max(most, open_now)
            await asyncio.sleep(0.02)
            open_now -= 1
            _, headers, body = vector("space", 1.0)
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n{lines}\r\n".encode() + body)

    async def test() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with AsyncClient(url, model="model", concurrency=3, request_rows=1) as client:
            await asyncio.gather(*(client.embed(["a", "b", "c", "d"]) for _ in range(3)))
        server.close()
        assert most == 3

    asyncio.run(test())


def test_the_first_failure_ends_the_call_and_names_the_row() -> None:
    def answer(path: str, body: bytes) -> Reply:  # noqa: ARG001
        if b"poison" not in body:
            return vector("space", *[1.0] * count_rows(body))
        facts = {
            "message": "text 1 has 9 tokens",
            "hint": None,
            "item": 1,
            "item_label": "text {}",
            "subject": "text 1",
            "length": 9,
            "limit": 8,
            "unit": "tokens",
        }
        told = {"error": "text 1 has 9 tokens", "inferox": {"kind": "InputTooLongError", "facts": facts}}
        return 400, {}, json.dumps(told).encode()

    async def test(client: AsyncClient, server: Scripted) -> None:  # noqa: ARG001
        with pytest.raises(InputTooLongError) as raised:
            await client.embed(["a", "b", "c", "poison", *"efgh"])
        error = raised.value
        assert (error.item, error.subject, error.length, str(error)) == (3, "text 3", 9, "text 3 has 9 tokens")

    run(answer, test, request_rows=2)


def test_a_change_of_the_embedding_space_is_an_error_that_names_both() -> None:
    async def test(client: AsyncClient, server: Scripted) -> None:  # noqa: ARG001
        with pytest.raises(EmbeddingSpaceError, match=r"'model' must lie in the embedding space one, .* in two"):
            await client.embed(["a", "b"])
        assert client.embedding_space("model") == "one"
        with pytest.raises(EmbeddingSpaceError):  # nor in the next call
            await client.embed("a")

    run([vector("one", 1.0), vector("two", 1.0)], test, request_rows=1, concurrency=1)


def test_a_server_that_does_not_say_which_texts_it_has_cut() -> None:
    async def test(client: AsyncClient, server: Scripted) -> None:  # noqa: ARG001
        with pytest.warns(TruncationWarning, match="1 of 1 text was longer than the model takes, and cut") as caught:
            await client.embed("a")
        assert caught[0].filename == __file__
        _, cut = await client.embed(["a", "b"], truncate="cut", return_truncated=True)
        assert cut.tolist() == [True, True]  # because all were
        with pytest.raises(ResponseError, match="has cut 1 of 2 texts, but does not say which"):
            await client.embed(["a", "b"], truncate="cut", return_truncated=True)
        assert (await client.embed(["a", "b"], truncate="cut")).tolist() == [[1.0], [2.0]]
        with pytest.raises(ResponseError, match="has cut 1 of 1 text, but names 7"):
            await client.embed("a", truncate="cut", return_truncated=True)

    one = vector("space", 1.0, cut=1)
    both, either = (vector("space", 1.0, 2.0, cut=cut) for cut in (2, 1))
    run([one, both, either, either, vector("space", 1.0, cut=1, inferox_cut_items="7")], test)


def test_a_server_that_states_no_space_any_more_is_refused_too() -> None:
    async def test(client: AsyncClient, server: Scripted) -> None:  # noqa: ARG001
        await client.embed("a")
        with pytest.raises(EmbeddingSpaceError, match="one that it does not state"):
            await client.embed("a")

    run([vector("one", 1.0), vector(None, 1.0)], test)


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b"<html>hello</html>"),
        (200, {}, b"{}"),
        (200, {"inference-header-content-length": "999"}, b'{"model_name":"m","outputs":[]}'),
        (200, {"inference-header-content-length": "x"}, b'{"model_name":"m","outputs":[]}'),
        vector("space", 1.0, 2.0),
        (200, {}, b"[" * 100_000),
    ],
)
def test_what_is_no_answer_is_refused(answer: Reply) -> None:
    async def test(client: AsyncClient, server: Scripted) -> None:  # noqa: ARG001
        with pytest.raises(ResponseError):
            await client.embed("a")

    run([answer], test)


@pytest.mark.parametrize(
    "told",
    [
        {"kind": "SystemExit", "facts": {"message": "a"}},
        {"kind": "printable", "facts": {"message": "a"}},
        {"kind": "RequestError", "facts": {"message": 7, "hint": [], "item": "x", "item_label": "{:>99999999999}"}},
        {"kind": "RequestError", "facts": {"message": "\x1b[2J", "item": 1, "item_label": "{0.__class__}"}},
        {"kind": "RequestError", "facts": {"__class__": "a", "__cause__": 1, "not a name": 2}},
    ],
)
def test_a_hostile_error_is_an_error_of_inferox(told: dict[str, Any]) -> None:
    async def test(client: AsyncClient, server: Scripted) -> None:  # noqa: ARG001
        with pytest.raises(InferoxError) as raised:
            await client.embed(["a", "b"])
        assert str(raised.value).isprintable()

    run([vector("s", 1.0), (400, {}, json.dumps({"error": "a", "inferox": told}).encode())], test, request_rows=1)


def test_of_several_models_the_call_must_name_one() -> None:
    def answer(path: str, body: bytes) -> Reply:  # noqa: ARG001
        if path == "/v2/repository/index":
            return 200, {}, json.dumps([{"name": name, "state": "READY"} for name in "ab"]).encode()
        described = {"name": "a", "inputs": [], "outputs": [], "parameters": {"task": {"string_value": "embed"}}}
        return 200, {}, json.dumps(described).encode()

    async def test(client: AsyncClient, server: Scripted) -> None:  # noqa: ARG001
        with pytest.raises(RequestError, match="the server has 2 for the task embed: a, b"):
            await client.embed("a text")
        with pytest.raises(RequestError, match="the server has no model for the task rerank") as none:
            await client.rerank("a query", ["a text"])
        assert none.value.hint == "this server has a, b", "to name one of them would not help"

    run(answer, test, model=None)


def test_the_key_and_headers_are_sent() -> None:
    heads: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    async def test() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/behind"
        async with AsyncClient(url, api_key="secret", headers={"x-tenant": "me"}) as client:
            assert await client.is_live()
        server.close()

    asyncio.run(test())
    assert heads[0].startswith(b"GET /behind/v2/health/live ")
    assert b"\r\nauthorization: bearer secret\r\n" in heads[0].lower()
    assert b"\r\nx-tenant: me\r\n" in heads[0].lower()


def test_certificates_are_checked(tmp_path: Path) -> None:
    authority = trustme.CA()
    cert, key, trusted = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    issued = authority.issue_cert("127.0.0.1")
    cert.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(trusted)

    async def test(server: Server) -> None:
        url = f"https://127.0.0.1:{server.port}"
        async with AsyncClient(url, ca_file=trusted) as client:
            assert await client.is_live()
        async with AsyncClient(url) as client:
            with pytest.raises(UnreachableError, match=r"is not trusted: .*certificate"):
                await client.describe("model")

    run_server(test, ServerConfig(tls_cert=cert, tls_key=key))
    with pytest.raises(ConfigError, match=r"missing\.pem cannot be used: .*No such file"):
        AsyncClient("https://127.0.0.1", ca_file=tmp_path / "missing.pem")


@pytest.mark.parametrize(
    ("url", "options", "what"),
    [
        ("127.0.0.1:8000", {}, "must be http://HOST:PORT"),
        ("http://", {}, "must be http://HOST:PORT"),
        ("http://a:99999", {}, "must be http://HOST:PORT"),
        ("http://a?b=c", {}, "must be http://HOST:PORT"),
        ("http://a", {"timeout_s": 0}, "timeout_s must be a positive number"),
        ("http://a", {"retries": -1}, "retries must be 0 or more"),
        ("http://a", {"request_rows": 0}, "request_rows must be from 1 to 2,048"),
        ("http://a", {"request_rows": 2049}, "request_rows must be from 1 to 2,048"),
        ("http://a", {"api_key": "a\n"}, "api_key must be printable"),
        ("http://a", {"key_file": "a"}, "there is none"),
    ],
)
def test_settings_that_cannot_be(url: str, options: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        AsyncClient(url, **options)


def test_without_httpx2_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['httpx2'] = None\nimport inferox\ninferox.Client('http://a')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    assert "ConfigError: the client needs httpx2 (pip install 'inferox[client]')" in done.stderr
