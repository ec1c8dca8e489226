"""A server that gives prepared answers, and records the requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Reply = tuple[int, dict[str, str], bytes]
"""A status, headers and a body."""

HANG_UP: Reply = (0, {}, b"")
"""Closes the connection instead of answering."""

RAW = -1
"""The status of raw bytes, which are sent as they are before the connection is closed."""


@dataclass
class Scripted:
    """A server with scripted answers: each reply once, the last one forever, or those that a function makes.

    Attributes:
        url: Its address.
        script: The replies, or a function from a path and a body to a reply.
        asked: The paths and bodies of the requests.
    """

    script: Sequence[Reply] | Callable[[str, bytes], Reply]
    url: str = ""
    asked: list[tuple[str, bytes]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the requests of a connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                path = lines[0].split()[1]
                reply = self._reply(path, body)
                self.asked.append((path, body))
                if reply is HANG_UP:
                    break
                status, more, content = reply
                if status == RAW:
                    writer.write(content)
                    break
                told = {"content-length": str(len(content)), **more}
                lines = [f"HTTP/1.1 {status} ", *(f"{name}: {value}" for name, value in told.items()), "", ""]
                writer.write("\r\n".join(lines).encode("latin-1") + content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _reply(self, path: str, body: bytes) -> Reply:
        if callable(self.script):
            return self.script(path, body)
        return self.script[min(len(self.asked), len(self.script) - 1)]


@asynccontextmanager
async def scripted(script: Sequence[Reply] | Callable[[str, bytes], Reply]) -> AsyncIterator[Scripted]:
    """A server on a free port of this machine."""
    told = Scripted(script)
    server = await asyncio.start_server(told.serve, "127.0.0.1", 0)
    try:
        told.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield told
    finally:
        server.close()


def raw(content: bytes) -> Reply:
    """Bytes that need not be HTTP; the connection is closed after them."""
    return RAW, {}, content


def refusal(status: int, message: str = "no", **headers: str) -> Reply:
    """An error as a proxy or another server writes it."""
    return (
        status,
        {name.replace("_", "-"): value for name, value in headers.items()},
        json.dumps({"error": message}).encode(),
    )


def vector(space: str | None, *numbers: float, cut: int = 0, **more: Any) -> Reply:
    """An answer with a vector of one number for each row."""
    import numpy as np

    data = np.array(numbers, "<f4").tobytes()
    parameters: dict[str, Any] = {"inferox_cut_inputs": cut, **more}
    if space is not None:
        parameters["inferox_embedding_space"] = space
    output = {
        "name": "embedding",
        "datatype": "FP32",
        "shape": [len(numbers), 1],
        "parameters": {"binary_data_size": len(data)},
    }
    head = json.dumps({"model_name": "model", "parameters": parameters, "outputs": [output]}).encode()
    return 200, {"inference-header-content-length": str(len(head))}, head + data
