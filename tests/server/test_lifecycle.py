"""A server from its start to its end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
import torch

from inferox import pack
from inferox.server.config import ServerConfig
from inferox.server.http_request import Receive, Scope, Send
from inferox.server.http_server import HttpServer
from inferox.server.listening import listen
from tests.conftest import Command
from tests.server.running import RunningServer, running, wait_until

DELAY_S = 0.5
PROGRAM = (sys.executable, "-m", "tests.server.program")


def takes_connections(server: RunningServer) -> bool:
    place = urlsplit(server.url)
    assert place.hostname is not None
    try:
        socket.create_connection((place.hostname, place.port or 0), timeout=10).close()
    except OSError:
        return False
    return True


def count_exempt(line: str) -> int:
    label, _, count = line.partition(": ")
    assert label == "exempt from garbage collections"
    return int(count)


def test_sigterm_answers_what_came_and_what_still_comes(minilm_package: Path) -> None:
    options = ("--backend", "onnxruntime", "--threads", "1", "--drain-delay", str(DELAY_S))
    with running(f"minilm={minilm_package}", *options, program=PROGRAM) as server:
        server.wait_until_ready()
        texts = ["a text of some length " * 6] * 16
        with httpx2.Client(base_url=server.url, timeout=20) as http, ThreadPoolExecutor(8) as threads:

            def ask(number: int) -> httpx2.Response:
                return http.post("/v1/embeddings", json={"model": "minilm", "input": texts[: 4 + number]})

            asked = [threads.submit(ask, number) for number in range(8)]
            told_s = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: server.http.get("/health/ready").status_code == 503)
            late = server.http.post("/v1/embeddings", json={"model": "minilm", "input": "late"})
            answers = [future.result() for future in asked]
        assert [answer.status_code for answer in answers] == [200] * 8
        assert [len(answer.json()["data"]) for answer in answers] == [4 + number for number in range(8)]
        assert (late.status_code, late.headers["connection"]) == (200, "close")
        wait_until(lambda: not takes_connections(server))
        assert time.monotonic() - told_s >= DELAY_S
        out, _ = server.process.communicate(timeout=20)
        assert server.process.returncode == 0
        # It has loaded, computed and drained, and its process has imported no runtime and no tokenizer.
        imported, exempt = out.splitlines()
        assert imported == "imported:"
        assert count_exempt(exempt) > 10_000  # its modules are some 50,000 objects


def test_who_was_connected_and_not_taken_when_it_stops_listening_is_answered() -> None:
    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async def run() -> list[bytes]:
        listener = listen("127.0.0.1", 0, option="--port")
        server = HttpServer(answer, ServerConfig())
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        # The loop does not notice them before it is asked to stop.
        clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        await server.shutdown([listener])
        server.should_exit = True
        await serving
        return [client.recv(100) for client in clients]

    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in asyncio.run(run()))


def test_a_port_in_use_is_said_before_anything_loads(server: RunningServer, inferox: Command, tmp_path: Path) -> None:
    port = server.url.rpartition(":")[2]
    done = inferox("serve", tmp_path / "missing.mlpkg", "--port", port)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines()[0] == (f"inferox: cannot listen on port {port} of 127.0.0.1: it is in use")


def test_a_package_that_is_not_there_ends_it(inferox: Command, tmp_path: Path) -> None:
    done = inferox("serve", tmp_path / "missing.mlpkg", "--port", "0")
    assert done.returncode == 3
    assert "missing.mlpkg" in done.stderr.decode().splitlines()[1]
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "why"),
    [
        ((), 3, "'inside' can only be run by code that comes with it"),
        (("--trust-code", "--backend", "candle"), 5, "no backend can run 'inside' here"),
        (("--trust-code", "--memory-limit", "1KiB"), 2, "the model needs about"),
    ],
)
def test_a_package_that_cannot_be_loaded_is_named_by_its_path(
    inferox: Command, tmp_path: Path, options: tuple[str, ...], code: int, why: str
) -> None:
    path = tmp_path / "clicks"  # the name inside is another, and would not say which of several files it is
    pack(torch.nn.Linear(2, 2), path, name="inside", example_inputs=torch.randn(3, 2))
    done = inferox("serve", "--repository", tmp_path, "--port", "0", *options)
    said = done.stderr.decode()
    assert (done.returncode, why in said) == (code, True), said
    assert f"inferox: {path} cannot be loaded\n" in said


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("a=x", "a=y"), "two packages have the name 'a'"),
        (("x", "--host", "nowhere.invalid"), "cannot listen"),
        (("x", "--host", ""), "is empty"),
        (("x", "--host", "é" * 64), "cannot listen"),
    ],
)
def test_wrong_usage(inferox: Command, arguments: tuple[str, ...], what: str) -> None:
    done = inferox("serve", *arguments)
    assert done.returncode == 2
    assert what in done.stderr.decode()


def test_an_interruption_while_it_loads_ends_it(minilm_package: Path) -> None:
    with running(minilm_package, program=PROGRAM) as server:
        server.process.send_signal(signal.SIGINT)
        out, said = server.process.communicate(timeout=20)
        assert (server.process.returncode, said) == (0, "")
        assert count_exempt(out.splitlines()[-1]) == 0  # what loading makes is not there to stay before it is ready


def test_a_worker_that_dies_is_replaced(server: RunningServer) -> None:
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: server.http.get("/health/ready").status_code == 503)
    assert server.http.get("/health/live").status_code == 200
    answer = server.http.post("/v1/embeddings", json={"model": "minilm", "input": "a text"})
    assert answer.status_code == 200  # it has waited for the next worker
    assert server.http.get("/health/ready").status_code == 200
    assert worker not in server.workers()
