"""Triton's own clients, each in a process and an environment of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.server.clients import find_python

PROGRAM = Path(__file__).with_name("triton_program.py")


class TritonError(Exception):
    """An error that a client raised.

    Attributes:
        message: Its message.
        status: The status that it names.
    """

    def __init__(self, message: str, status: str) -> None:
        super().__init__(f"{status}: {message}")
        self.message = message
        self.status = status


class TritonClient:
    """One of the clients.

    Args:
        process: The process that runs it.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def call(self, method: str, **arguments: Any) -> Any:
        """Calls a method.

        Raises:
            TritonError: What it raises.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"method": method, "arguments": arguments}), file=self._process.stdin, flush=True)
        told = json.loads(self._process.stdout.readline())
        if "error" in told:
            raise TritonError(told["error"], told["status"])
        return told["value"]


@contextmanager
def triton_client(kind: str, place: str) -> Iterator[TritonClient]:
    """A client, such as ``http.aio``, of a server, such as ``127.0.0.1:8000``."""
    command, pipe = [find_python(), str(PROGRAM), kind, place], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:  # noqa: S603
        try:
            yield TritonClient(process)
        finally:
            process.kill()
