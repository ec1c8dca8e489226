"""What ``inferox serve`` answers while it shuts down, and what it keeps of clients that leave.

    python benchmarks/leaving.py MODEL_DIRECTORY [--signals 50] [--waves 5] [--resets 10000] [--slow 1000] [--json]

Signals: the server gets SIGTERM under three loads: kept HTTP connections, a new connection for each request, and gRPC.
Every request on a connection that was accepted must be answered with 200.

Waves: a thousand requests wait behind one that takes seconds. Their clients then close their connections (even waves)
or had set a deadline that passes (odd waves). None of their rows may be computed.

Resets and slow bodies: connections are reset in the middle of a request, and bodies never arrive. The front's
descriptors, threads and memory are compared before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import statistics
import struct
import sys
import tempfile
import time
from collections import Counter
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import sleeping_model
from grpc import aio
from offline import make_texts
from serving import free_port, start_server

import inferox
from inferox.server.oip.grpc_messages import INFERENCE, GrpcMessages

_SLEEP_S = 0.05
_CALLERS = 8
_AT_ONCE = 200
_WAVE = 1000
_BODY_TIMEOUT_S = 2.0


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a sentence-transformers model directory")
    parser.add_argument("--signals", type=int, default=50)
    parser.add_argument("--waves", type=int, default=5)
    parser.add_argument("--resets", type=int, default=10_000)
    parser.add_argument("--slow", type=int, default=1_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "model.mlpkg"
        inferox.pack(options.model, package, backends=["onnxruntime"], precisions=["fp32"])
        sleeping_model.announce(package, _SLEEP_S)
        report = {
            "signals": measure_signals(str(package), options),
            "waves": measure_waves(options),
            "connections": measure_connections(str(package), options),
        }
    print(json.dumps(report, indent=1)) if options.json else print_report(report)


def write_request(port: int, text: str, *headers: str) -> bytes:
    """Writes a request for the vector of a text."""
    body = json.dumps({"model": "model", "input": [text]}).encode()
    lines = ["POST /v1/embeddings HTTP/1.1", f"host: 127.0.0.1:{port}", "content-type: application/json", *headers]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Reads the status of an answer, and whether the server closes the connection after it."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    size = next(int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(size)
    return int(head.split()[1]), b"connection: close" in head


def measure_signals(source: str, options: argparse.Namespace) -> dict[str, Any]:
    """Ends servers under load, one after the other."""
    outcomes, not_ready_s, codes, left = Counter[str](), [], Counter[int | None](), 0
    for number in range(options.signals):
        grpc_port = free_port()
        server, port = start_server(source, options.threads, "--grpc-port", str(grpc_port), "--drain-delay", "0.5")
        family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
        found, took_s = asyncio.run(end_under_load(server.pid, port, grpc_port, number))
        outcomes += found
        not_ready_s.append(took_s)
        codes[server.wait(30)] += 1
        left += sum(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)
        server.close()
        print(f"signal {number + 1}: {dict(outcomes)}", file=sys.stderr)
    return {
        "requests": dict(outcomes),
        "not_ready_ms": {"median": 1000 * statistics.median(not_ready_s), "most": 1000 * max(not_ready_s)},
        "exit_codes": {str(code): count for code, count in codes.items()},
        "processes_left": left,
    }


class Loads:
    """Three loads on one server, and the outcomes of their requests. To be used from one event loop.

    Args:
        port: Its port for HTTP.
        grpc_port: Its port for gRPC.

    Attributes:
        outcomes: The number of requests of each load by outcome.
    """

    def __init__(self, port: int, grpc_port: int) -> None:
        self._port, self._grpc_port = port, grpc_port
        self._texts, self._messages = make_texts(200, "english"), GrpcMessages(INFERENCE)
        self.outcomes = Counter[str]()

    async def keep(self) -> None:
        """Uses connections until the server closes them; stops once none can be made."""
        with contextlib.suppress(ConnectionRefusedError):
            for number in count():
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                with contextlib.closing(writer):
                    closes = False
                    while not closes:
                        writer.write(write_request(self._port, self._texts[number % len(self._texts)]))
                        closes = await self._note("kept", reader)

    async def renew(self) -> None:
        """Makes a connection for each request; stops once none can be made."""
        with contextlib.suppress(ConnectionRefusedError):
            for number in count():
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                with contextlib.closing(writer):
                    text = self._texts[number % len(self._texts)]
                    writer.write(write_request(self._port, text, "connection: close"))
                    await self._note("new", reader)

    async def call(self) -> None:
        """Calls over gRPC until no connection can be made."""
        request = self._messages.of("ModelInferRequest")(model_name="model")
        tensor = request.inputs.add(name="text", datatype="BYTES", shape=[1])
        tensor.contents.bytes_contents.append(b"a text")
        async with aio.insecure_channel(f"127.0.0.1:{self._grpc_port}") as channel:
            infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            while True:
                try:
                    await infer(request.SerializeToString())
                except aio.AioRpcError as error:
                    if "connect" not in str(error.details()).lower():  # requests that were never sent
                        self.outcomes[f"grpc {error.code().name}: {str(error.details())[:60]}"] += 1
                    return
                self.outcomes["grpc OK"] += 1

    async def _note(self, kind: str, reader: asyncio.StreamReader) -> bool:
        """Records an answer. Returns whether the connection is finished."""
        try:
            status, closes = await read_answer(reader)
        except (OSError, asyncio.IncompleteReadError) as error:
            self.outcomes[f"{kind} {type(error).__name__}"] += 1
            return True
        self.outcomes[f"{kind} {status}"] += 1
        return closes or status != HTTPStatus.OK


async def end_under_load(pid: int, port: int, grpc_port: int, seed: int) -> tuple[Counter[str], float]:
    """Signals a server under load.

    Returns:
        The outcomes of the requests, and the seconds until the server was no longer ready.
    """
    loads = Loads(port, grpc_port)
    running = [asyncio.create_task(load()) for load in (loads.keep, loads.renew, loads.call) for _ in range(_CALLERS)]
    await asyncio.sleep(random.Random(seed).uniform(0.3, 0.8))  # noqa: S311 - varied, not secret
    os.kill(pid, signal.SIGTERM)
    began_s = time.perf_counter()
    while await is_ready(port):
        await asyncio.sleep(0.005)
    took_s = time.perf_counter() - began_s
    await asyncio.wait_for(asyncio.gather(*running), 60)
    return loads.outcomes, took_s


async def is_ready(port: int) -> bool:
    """Returns whether a server says that it is ready."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    with contextlib.closing(writer):
        writer.write(b"GET /health/ready HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
        return (await read_answer(reader))[0] == HTTPStatus.OK


def measure_waves(options: argparse.Namespace) -> dict[str, int]:
    """Has requests wait behind a long one, and leave before it is answered."""
    server, port = start_server(sleeping_model.SOURCE, options.threads)
    try:
        before = read_rows(port)
        blockers = sum(asyncio.run(run_wave(port, expire=number % 2 == 1)) for number in range(options.waves))
        return {"gone": options.waves * _WAVE, "computed": read_rows(port) - before - blockers}
    finally:
        server.close()


async def run_wave(port: int, *, expire: bool) -> int:
    """Makes one wave.

    Returns:
        The number of rows of the request behind which the others wait.
    """
    blocker = [f"text {number} of the request that takes long" for number in range(100)]
    body = json.dumps({"model": "model", "input": blocker}).encode()
    head = f"POST /v1/embeddings HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head}\r\n\r\n".encode() + body)
    await asyncio.sleep(0.3)
    async with asyncio.timeout(60):
        await asyncio.gather(*[leave(port, f"number {number}", expire=expire) for number in range(_WAVE)])
        status, _ = await read_answer(reader)
    writer.close()
    if status != HTTPStatus.OK:
        raise SystemExit(f"the request that takes long got {status}")
    await asyncio.sleep(1.0)  # for rows that might still be computed
    return len(blocker)


async def leave(port: int, text: str, *, expire: bool) -> None:
    """Sends a request, and leaves: by closing the connection, or by a deadline."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    if expire:
        tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]}
        body = json.dumps({"inputs": [tensor], "parameters": {"timeout": 500_000}}).encode()
        head = f"POST /v2/models/model/infer HTTP/1.1\r\nhost: h\r\ncontent-length: {len(body)}"
        writer.write(f"{head}\r\ncontent-type: application/json\r\n\r\n".encode() + body)
        status, _ = await read_answer(reader)
        if status not in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.GATEWAY_TIMEOUT}:
            raise SystemExit(f"a request that should have expired got {status}")
    else:
        writer.write(write_request(port, text))
        await writer.drain()
        await asyncio.sleep(0.5)
    writer.close()


def read_rows(port: int) -> int:
    """Returns the number of rows that the model has computed."""

    async def read() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
        (line,) = [line for line in text.splitlines() if line.startswith('inferox_rows_total{model="model"}')]
        return int(float(line.split()[-1]))

    return asyncio.run(read())


def measure_connections(source: str, options: argparse.Namespace) -> dict[str, Any]:
    """Resets connections, and sends bodies that never end."""
    server, port = start_server(source, options.threads, "--body-timeout", str(_BODY_TIMEOUT_S))
    try:
        front = psutil.Process(server.pid)
        asyncio.run(reset_many(port, 500))  # some things grow at first and never again
        asyncio.run(send_slowly(port, 100))
        before = describe(front)
        asyncio.run(reset_many(port, options.resets))
        answered = asyncio.run(send_slowly(port, options.slow))
        time.sleep(3)
        return {"slow_answered": answered, "before": before, "after": describe(front)}
    finally:
        server.close()


def describe(front: psutil.Process) -> dict[str, float]:
    """Describes what a process holds."""
    return {
        "descriptors": front.num_fds(),
        "threads": front.num_threads(),
        "mib": round(front.memory_info().rss / 2**20, 1),
    }


async def reset_many(port: int, count: int) -> None:
    """Resets connections in the middle of a request's body."""

    async def reset(number: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(write_request(port, f"number {number}")[: -1 - number % 60])
        await writer.drain()
        taken = writer.get_extra_info("socket")
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    for begun in range(0, count, _AT_ONCE):
        await asyncio.gather(*[reset(number) for number in range(begun, min(count, begun + _AT_ONCE))])


async def send_slowly(port: int, count: int) -> dict[str, int]:
    """Sends the beginnings of bodies, a byte at a time.

    Returns:
        The number of answers by status.
    """
    statuses: Counter[str] = Counter()

    async def send(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = write_request(port, f"number {number}")
        writer.write(request[:-20])
        answer = asyncio.create_task(read_answer(reader))
        with contextlib.suppress(OSError):
            for byte in request[-20:-1]:
                writer.write(bytes([byte]))
                await asyncio.sleep(_BODY_TIMEOUT_S / 4)
                if answer.done():
                    break
        statuses[str((await answer)[0])] += 1
        writer.close()

    for begun in range(0, count, _AT_ONCE):
        await asyncio.gather(*[send(number) for number in range(begun, min(count, begun + _AT_ONCE))])
    return dict(statuses)


def print_report(report: dict[str, Any]) -> None:
    """Prints the results."""
    from rich.console import Console

    console = Console()
    for name, found in report.items():
        console.print(f"[bold]{name}[/bold]", json.dumps(found), soft_wrap=True)


if __name__ == "__main__":
    main()
