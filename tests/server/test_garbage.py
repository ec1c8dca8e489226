"""Requests leave nothing to the garbage collector, which would stop the server while it looks for it."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import MutableMapping
from typing import Any

import pytest

from inferox.server import ServerConfig
from tests.server.test_app import Held, holding

TIMES = 30

BODY = json.dumps({"model": "model", "input": ["a text"]}).encode()

SCOPE = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "method": "POST",
    "scheme": "http",
    "path": "/v1/embeddings",
    "raw_path": b"/v1/embeddings",
    "query_string": b"",
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))],
    "client": ("127.0.0.1", 1),
}


async def ask(held: Held) -> int:
    """Sends a request as uvicorn does, and returns the status of the response."""
    messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    messages.put_nowait({"type": "http.request", "body": BODY})
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await held.app(dict(SCOPE), messages.get, send)
    return int(sent[0]["status"])


async def count_garbage(held: Held) -> tuple[set[int], int]:
    """Asks often; returns the statuses of the responses, and the number of objects that only a collection frees."""
    for _ in range(2):  # the first requests make what stays
        await ask(held)
    gc.disable()
    try:
        gc.collect()
        statuses = {await ask(held) for _ in range(TIMES)}
        await asyncio.sleep(0.05)  # threads may be about to let go of the last ones
        return statuses, gc.collect()
    finally:
        gc.enable()


@pytest.mark.parametrize(("timeout_s", "status"), [(20.0, 200), (0.01, 504)])
def test_no_request_leaves_garbage(timeout_s: float, status: int) -> None:
    async def run() -> None:
        async with holding(ServerConfig(timeout_s=timeout_s)) as held:
            if status == 200:
                held.model.may_go.set()
            statuses, garbage = await count_garbage(held)
            assert statuses == {status}
            assert garbage < TIMES

    asyncio.run(run())


def test_no_refused_request_leaves_garbage() -> None:
    async def run() -> None:
        async with holding(ServerConfig(timeout_s=0.5)) as held:
            await asyncio.gather(*[ask(held) for _ in range(20)])  # which are late, so that fewer are admitted
            gc.collect()  # which may take longer than the one that is in progress next
            waiting = [asyncio.create_task(ask(held)) for _ in range(3)]
            await asyncio.sleep(0.05)
            statuses, garbage = await count_garbage(held)
            assert 429 in statuses
            assert statuses <= {429, 504}  # on a slow machine, that one may be over before the last is refused
            assert garbage < TIMES
            await asyncio.gather(*waiting)


def test_no_request_beyond_the_most_at_once_leaves_garbage() -> None:
    async def run() -> None:
        async with holding(ServerConfig(request_limit=1)) as held:
            waiting = asyncio.create_task(ask(held))
            await asyncio.sleep(0.05)
            statuses, garbage = await count_garbage(held)
            assert statuses == {429}
            assert garbage < TIMES
            held.model.may_go.set()
            assert await waiting == 200

    asyncio.run(run())
