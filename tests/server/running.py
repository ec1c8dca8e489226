"""A server as a user starts it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.engine.workers.test_workers import is_alive

PROGRAM = (str(Path(sys.executable).with_name("inferox")),)
"""The command."""

ANSWER_S = 20.0


class RunningServer:
    """A server that has said where it listens.

    Attributes:
        process: Its process.
        url: Its address.
        grpc_place: Its address for gRPC; empty if it has none.
        http: A client of it.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stderr is not None
        self.lines = [process.stderr.readline()]
        assert "listening on http://" in self.lines[0], self.lines[0] + process.stderr.read()
        self.url = self.lines[0].split("listening on ")[1].partition(",")[0]
        self.grpc_place = self.lines[0].partition("grpc://")[2].partition(",")[0]
        self.http = httpx2.Client(base_url=self.url, timeout=ANSWER_S)

    def wait_until_ready(self) -> None:
        """Waits until it says that it is ready, after which a probe must agree."""
        assert self.process.stderr is not None
        self.lines.append(self.process.stderr.readline())
        assert "ready: " in self.lines[-1], "".join(self.lines) + self.process.stderr.read()
        assert self.http.get("/health/ready").status_code == 200

    def workers(self) -> list[int]:
        """Returns the processes that it has started."""
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for file in children for pid in file.read_text(encoding="ascii").split()]


@contextmanager
def running(*arguments: str | Path, program: tuple[str, ...] = PROGRAM) -> Iterator[RunningServer]:
    """Runs ``inferox serve`` on a free port of this machine until the block ends, and its workers with it."""
    command = [*program, "serve", *map(str, arguments), "--port", "0"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=dict(os.environ)) as process:  # noqa: S603
        try:
            server = RunningServer(process)
            with server.http:
                yield server
            workers = server.workers()
        finally:
            process.kill()
        wait_until(lambda: not any(map(is_alive, workers)))


def wait_until(is_so: object, *, timeout_s: float = ANSWER_S) -> None:
    """Waits until a condition holds, and checks less and less often, as a check may cost a server a request."""
    assert callable(is_so)
    deadline, pause_s = time.monotonic() + timeout_s, 0.005
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(pause_s)
        pause_s = min(1.2 * pause_s, 0.1)
