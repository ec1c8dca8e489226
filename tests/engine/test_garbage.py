"""Requests leave nothing to the garbage collector, whose collections stop every thread.

Those whose computation fails within this process do: their errors have the frames of the computation.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from inferox import Engine, EngineConfig
from inferox.core import DeadlineExceededError, ExecutionError, InferoxError, RequestError
from inferox.engine import Canary, Offer
from inferox.parity import ParityClass
from tests.engine.models import POISON
from tests.engine.packages import Shelf
from tests.engine.workers.factories import COLLECT, HERE, SLOW

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


async def infer_many(engine: Engine) -> object:
    return engine.infer_many("model", [[[1]], ["!"], [[2]]])


async def leave(engine: Engine) -> None:
    task = asyncio.create_task(ainfer(engine, [1]))
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def count_garbage(
    engine: Engine, ask: Asking, times: int, *, collect: Callable[[Engine], int] = lambda _: gc.collect()
) -> tuple[set[Outcome], int]:
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
        collect(engine)
        outcomes = {await try_once() for _ in range(times)}
        await asyncio.sleep(0.1)  # threads may be about to let go of the last ones
        return outcomes, collect(engine)

    gc.disable()
    try:
        return asyncio.run(run())
    finally:
        gc.enable()


def collect_in_worker(engine: Engine) -> int:
    """Has the process that computes the model collect its garbage, and from then on only when it is told to."""
    (count,) = engine.infer("model", [[COLLECT]]).results
    return int(count)


outcomes_of_requests = pytest.mark.parametrize(
    ("ask", "outcome", "times"),
    [
        (partial(infer, deadline_s=9.0), None, TIMES),
        (ainfer, None, TIMES),
        (partial(ainfer, deadline_s=9.0), None, TIMES),
        (ainfer_many, None, TIMES),
        (leave, None, TIMES),
        (lambda engine: infer(engine, "!"), RequestError, TIMES),
        (lambda engine: ainfer(engine, "!"), RequestError, TIMES),
        (infer_many, RequestError, TIMES),
        (lambda engine: infer(engine, [SLOW], deadline_s=0.01), DeadlineExceededError, 10),
        (lambda engine: ainfer(engine, [SLOW], deadline_s=0.01), DeadlineExceededError, 10),
    ],
    ids=[
        *("answered", "answered to a coroutine", "within a deadline", "many at once", "left"),
        *("refused", "refused to a coroutine", "one of several refused", "expired", "expired for a coroutine"),
    ],
)


@outcomes_of_requests
def test_no_request_leaves_garbage(engine: Engine, ask: Asking, outcome: Outcome, times: int) -> None:
    outcomes, garbage = count_garbage(engine, ask, times)
    assert outcomes == {outcome}
    assert garbage < times


@pytest.fixture(scope="module")
def process_engine() -> Iterator[Engine]:
    with Engine(EngineConfig(isolation="process", threads=1)) as engine:
        engine.load(f"{HERE}make_dangerous", name="model", trust_code=True)
        yield engine


@outcomes_of_requests
def test_no_request_leaves_garbage_in_a_worker(
    process_engine: Engine, ask: Asking, outcome: Outcome, times: int
) -> None:
    outcomes, garbage = count_garbage(process_engine, ask, times, collect=collect_in_worker)
    assert outcomes == {outcome}
    assert garbage < times


@pytest.mark.parametrize("ask", [infer, ainfer])
@pytest.mark.parametrize("collect", [lambda _: gc.collect(), collect_in_worker], ids=["front", "worker"])
@pytest.mark.parametrize("items", [[[POISON]], [[1], [POISON], [2]]], ids=["alone", "beside others"])
def test_nor_does_one_that_a_worker_cannot_compute(
    process_engine: Engine, items: list[list[int]], collect: Callable[[Engine], int], ask: Asking
) -> None:
    outcomes, garbage = count_garbage(process_engine, lambda engine: ask(engine, *items), TIMES, collect=collect)
    assert outcomes == {ExecutionError}
    assert garbage < TIMES


@pytest.mark.parametrize("method", ["infer", "ainfer"])
@pytest.mark.parametrize(
    ("tried", "artifact"),
    [
        ({"canary": Canary(backend="onnxruntime", share=1.0)}, None),
        ({"offers": [Offer(backend="onnxruntime")]}, "onnxruntime"),
    ],
    ids=["a canary", "an artifact of its choice"],
)
def test_nor_does_one_that_another_artifact_answers(
    shelf: Shelf, tried: dict[str, Any], artifact: str | None, method: str
) -> None:
    shelf.put("p", {"a": ParityClass.EXACT, "b": ParityClass.EXACT}, backends={"b": "onnxruntime"})

    async def ask(engine: Engine) -> None:
        answer = getattr(engine, method)("model", [[1]], artifact=artifact)
        await answer if method == "ainfer" else None

    with Engine(EngineConfig(threads=1)) as engine:
        engine.load("p", name="model", backend="doubling", **tried)
        outcomes, garbage = count_garbage(engine, ask, TIMES)
    assert outcomes == {None}
    assert garbage < 4 * TIMES  # writing the learned costs leaves some, too
