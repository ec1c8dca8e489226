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
from inferox.core import DeadlineExceededError, InferoxError, RequestError
from tests.engine.workers.factories import HERE, SLOW

TIMES = 100

Asking = Callable[[Engine], Awaitable[object]]

Outcome = type[BaseException] | None
"""The error of a request; ``None`` if it was answered."""


@pytest.fixture(scope="module", params=["thread", "process"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine whose requests the tests share."""
    with Engine(EngineConfig(isolation=request.param, threads=1)) as engine:
        engine.load(f"{HERE}make_dangerous", name="model", trust_code=True)
        yield engine


async def infer(engine: Engine, *items: object, deadline_s: float | None = None) -> object:
    return engine.infer("model", items or [[1]], deadline_s=deadline_s)


async def ainfer(engine: Engine, *items: object, deadline_s: float | None = None) -> object:
    return await engine.ainfer("model", items or [[1]], deadline_s=deadline_s)


async def ainfer_many(engine: Engine) -> object:
    return await asyncio.gather(*(ainfer(engine, [number]) for number in range(100, 120)))


async def leave(engine: Engine) -> None:
    task = asyncio.create_task(ainfer(engine, [1]))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def count_garbage(engine: Engine, ask: Asking, times: int) -> tuple[set[Outcome], int]:
    """Returns the outcomes of requests, and the number of objects that only a collection frees."""

    async def try_once() -> Outcome:
        try:
            await ask(engine)
        except InferoxError as error:
            return type(error)
        return None

    async def run() -> tuple[set[Outcome], int]:
        for _ in range(2):  # the first ones make what stays
            await try_once()
        gc.collect()
        outcomes = {await try_once() for _ in range(times)}
        await asyncio.sleep(0.1)  # threads may be about to let go of the last ones
        return outcomes, gc.collect()

    gc.disable()
    try:
        return asyncio.run(run())
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("ask", "outcome", "times"),
    [
        (partial(infer, deadline_s=9.0), None, TIMES),
        (ainfer, None, TIMES),
        (partial(ainfer, deadline_s=9.0), None, TIMES),
        (ainfer_many, None, TIMES),
        (leave, None, TIMES),
        (lambda engine: infer(engine, "!"), RequestError, TIMES),
        (lambda engine: ainfer(engine, "!"), RequestError, TIMES),
        (lambda engine: infer(engine, [SLOW], deadline_s=0.01), DeadlineExceededError, 10),
        (lambda engine: ainfer(engine, [SLOW], deadline_s=0.01), DeadlineExceededError, 10),
    ],
    ids=[
        *("answered", "answered to a coroutine", "within a deadline", "many at once", "left"),
        *("refused", "refused to a coroutine", "expired", "expired for a coroutine"),
    ],
)
def test_no_request_leaves_garbage(engine: Engine, ask: Asking, outcome: Outcome, times: int) -> None:
    outcomes, garbage = count_garbage(engine, ask, times)
    assert outcomes == {outcome}
    assert garbage < times
