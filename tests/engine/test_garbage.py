"""Requests leave nothing to the garbage collector, whose collections stop every thread.

Those whose computation fails do: their errors have the frames of the computation.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial

import pytest

from inferox import Engine, EngineConfig
from inferox.core import InferoxError
from tests.engine.workers.factories import HERE, SLOW

TIMES = 100

Asking = Callable[[Engine], Awaitable[object]]


@pytest.fixture(scope="module", params=["thread", "process"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine whose requests the tests share."""
    with Engine(EngineConfig(isolation=request.param, threads=1)) as engine:
        engine.load(f"{HERE}make_dangerous", name="model", trust_code=True)
        yield engine


async def infer(engine: Engine, *items: object, deadline_s: float | None = None) -> object:
    return engine.infer("model", [*items], deadline_s=deadline_s)


async def ainfer(engine: Engine, *items: object, deadline_s: float | None = None) -> object:
    return await engine.ainfer("model", [*items], deadline_s=deadline_s)


async def ainfer_many(engine: Engine) -> object:
    return await asyncio.gather(*(ainfer(engine, [number]) for number in range(100, 120)))


async def leave(engine: Engine) -> None:
    task = asyncio.create_task(ainfer(engine, [1]))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def count_garbage(engine: Engine, ask: Asking, times: int) -> int:
    """Counts the objects that only a collection frees."""

    async def run() -> int:
        for number in range(2 + times):
            if number == 2:  # the first ones may leave what stays
                gc.collect()
            with suppress(InferoxError):
                await ask(engine)
        await asyncio.sleep(0.1)  # threads may be about to let go of the last ones
        return gc.collect()

    gc.disable()
    try:
        return asyncio.run(run())
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("ask", "times"),
    [
        (partial(infer, deadline_s=9.0), TIMES),
        (ainfer, TIMES),
        (partial(ainfer, deadline_s=9.0), TIMES),
        (ainfer_many, TIMES),
        (leave, TIMES),
        (lambda engine: infer(engine, "!"), TIMES),
        (lambda engine: infer(engine, [SLOW], deadline_s=0.01), 10),
        (lambda engine: ainfer(engine, [SLOW], deadline_s=0.01), 10),
    ],
    ids=[
        *("answered", "answered to a coroutine", "within a deadline", "many at once", "left"),
        *("refused", "expired", "expired for a coroutine"),
    ],
)
def test_no_request_leaves_garbage(engine: Engine, ask: Asking, times: int) -> None:
    assert count_garbage(engine, ask, times) < times
