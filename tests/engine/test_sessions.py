"""Sessions: a state from call to call, held by one caller at a time, over one version, and closed with it."""

from __future__ import annotations

import asyncio
import gc
import re
import threading
import warnings
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from inferox import Engine, InferenceSession
from inferox.core import ConfigError, DeadlineExceededError, ModelNotFoundError, RequestError, ShuttingDownError
from inferox.engine.trials.trialed_model import TrialedModel
from tests.engine.models import DoublingModel, SumTask, load_doubling

GUIDE = Path(__file__).parents[2] / "docs" / "engine.md"


@dataclass
class Tally:
    """A total of the answers, and the number of times that it was closed."""

    totals: list[int] = field(default_factory=list)
    closed: int = 0

    def close(self) -> None:
        self.closed += 1


def add(session: InferenceSession[Tally], number: int) -> int:
    """Adds the answer for a number to the last total, which nobody else may change meanwhile."""
    with session.turn() as tally:
        last = tally.totals[-1] if tally.totals else 0
        tally.totals.append(last + session.infer([[number]]).results[0])
        return tally.totals[-1]


def wait_for_waiting(session: InferenceSession[Any], count: int) -> None:
    """Waits until that many wait for their turn."""
    pause = threading.Event()
    while len(session._baton._waiting) < count:
        assert not pause.wait(0.001)


def test_the_state_goes_from_call_to_call_and_is_closed_with_the_session(engine: Engine) -> None:
    tally = Tally()
    with engine.session("doubling", tally) as session:
        assert [add(session, number) for number in (1, 2, 3)] == [2, 6, 12]
        assert tally.closed == 0
    session.close()
    assert tally.closed == 1
    with pytest.raises(ShuttingDownError, match=r"the session is closed \(.*open another\)"):
        session.infer([[1]])
    with pytest.raises(ShuttingDownError), session.turn():
        pass
    assert engine.infer("doubling", [[1]]).results == [2]


def test_nobody_keeps_a_session_that_is_closed(engine: Engine) -> None:
    tally = Tally()
    session = engine.session("doubling", tally)
    session.close()
    kept = weakref.ref(session), weakref.ref(tally)
    del session, tally
    gc.collect()
    assert [reference() for reference in kept] == [None, None]


def test_a_state_needs_no_close(engine: Engine) -> None:
    with engine.session("doubling", [1, 2]) as session, session.turn() as numbers:
        numbers.append(3)
        assert session.infer([numbers]).results == [12]


def test_one_thread_at_a_time_has_the_state(engine: Engine) -> None:
    with engine.session("doubling", Tally()) as session, ThreadPoolExecutor(8) as pool:
        totals = list(pool.map(lambda _: add(session, 1), range(64)))
    assert sorted(totals) == list(range(2, 130, 2))


def test_coroutines_and_threads_share_the_turns(engine: Engine) -> None:
    async def aadd(session: InferenceSession[Tally]) -> None:
        async with session.aturn() as tally:
            last = tally.totals[-1] if tally.totals else 0
            tally.totals.append(last + (await session.ainfer([[1]])).results[0])

    async def run(session: InferenceSession[Tally]) -> None:
        await asyncio.gather(*(aadd(session) for _ in range(16)), *(asyncio.to_thread(add, session, 1) for _ in "ab"))

    tally = Tally()
    with engine.session("doubling", tally) as session:
        asyncio.run(run(session))
    assert tally.totals == list(range(2, 38, 2))


def test_turns_come_in_the_order_of_asking(engine: Engine) -> None:
    order: list[int] = []

    def take(number: int) -> None:
        with session.turn():
            order.append(number)

    with engine.session("doubling", None) as session, ThreadPoolExecutor(4) as pool, session.turn():
        for number in range(4):
            pool.submit(take, number)
            wait_for_waiting(session, number + 1)
    assert order == [0, 1, 2, 3]


def test_requests_do_not_wait_for_the_turn(engine: Engine) -> None:
    with engine.session("doubling", None) as session, ThreadPoolExecutor(1) as pool, session.turn():
        assert pool.submit(session.infer, [[1]]).result(20).results == [2]


def test_a_block_that_fails_passes_the_turn_on(engine: Engine) -> None:
    with engine.session("doubling", Tally()) as session:
        with pytest.raises(RequestError), session.turn():
            session.infer(["loud!"])
        assert add(session, 1) == 2


def test_a_caller_that_would_wait_for_itself_gets_an_error(engine: Engine) -> None:
    async def take_twice(session: InferenceSession[None]) -> None:
        async with session.aturn(), session.aturn():
            pass

    async def stop_the_loop(session: InferenceSession[None]) -> None:
        async def take_on_the_thread() -> None:
            with session.turn():
                pass

        async with session.aturn():
            await asyncio.create_task(take_on_the_thread())

    with engine.session("doubling", None) as session:
        with pytest.raises(ConfigError, match="already has the turn"), session.turn(), session.turn():
            pass
        with pytest.raises(ConfigError, match="already has the turn"):
            asyncio.run(take_twice(session))
        with pytest.raises(ConfigError, match=r"would stop the coroutines.*session.aturn"):
            asyncio.run(stop_the_loop(session))
        with session.turn():
            pass


@pytest.mark.parametrize("moment", ["while it waits", "just before it comes", "as it comes"])
def test_a_cancelled_coroutine_takes_no_turn_along(engine: Engine, moment: str) -> None:
    async def take(session: InferenceSession[Tally]) -> None:
        async with session.aturn() as tally:
            tally.totals.append(1)

    async def run(session: InferenceSession[Tally]) -> None:
        async with session.aturn():
            task = asyncio.create_task(take(session))
            await asyncio.sleep(0)
            if moment != "as it comes":
                task.cancel()
            if moment == "while it waits":
                with pytest.raises(asyncio.CancelledError):
                    await task
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(20), session.aturn() as tally:
            assert tally.totals == []

    with engine.session("doubling", Tally()) as session:
        asyncio.run(run(session))


def test_closing_waits_for_no_turn_but_the_state_does(engine: Engine) -> None:
    tally = Tally()
    session = engine.session("doubling", tally)
    with ThreadPoolExecutor(1) as pool:
        with session.turn() as held:
            waiting: Future[int] = pool.submit(add, session, 1)
            wait_for_waiting(session, 1)
            session.close()
            with pytest.raises(ShuttingDownError):
                waiting.result(20)
            with pytest.raises(ShuttingDownError):
                session.infer([[1]])
            assert held.closed == 0
        assert tally.closed == 1


def test_sessions_are_closed_with_the_engine_and_with_their_version(model: DoublingModel) -> None:
    first, second, third = Tally(), Tally(), Tally()
    with Engine() as engine:
        for version in "12":
            engine.register(load_doubling(model), version=version)
        session = engine.session("doubling", first, version="1")
        engine.session("doubling", second)
        engine.session("doubling", third).close()
        engine.unload("doubling", "1")
        assert (first.closed, second.closed, third.closed) == (1, 0, 1)
        with pytest.raises(ShuttingDownError):
            session.infer([[1]])
    assert (first.closed, second.closed, third.closed) == (1, 1, 1)
    with pytest.raises(ShuttingDownError, match="the engine is closed"):
        engine.session("doubling", None)


def test_a_session_that_is_opened_while_a_version_gets_its_trials_is_closed_with_it(engine: Engine) -> None:
    tally = Tally()
    session = engine.session("doubling", tally)
    engine._models.replace(session.model, TrialedModel(session.model))  # as ``load`` does with offers and trials
    assert add(session, 1) == 2
    engine.unload("doubling")
    assert tally.closed == 1
    with pytest.raises(ShuttingDownError, match="the session is closed"):
        session.infer([[1]])


def test_a_state_that_cannot_be_closed_keeps_nothing_else_open(model: DoublingModel) -> None:
    class Stubborn:
        def close(self) -> None:
            raise OSError("no")

    engine, tally = Engine(), Tally()
    engine.register(load_doubling(model))
    engine.session("doubling", Stubborn())
    engine.session("doubling", tally)
    with pytest.raises(OSError, match="no"):
        engine.close()
    assert tally.closed == 1
    assert model.is_closed


def test_a_session_stays_with_its_version(engine: Engine) -> None:
    engine.label("doubling", "stable", "1")
    with engine.session("doubling", None, version="stable") as session:
        engine.register(load_doubling(task=SumTask(read=lambda total: total + 5)), version="2")
        engine.label("doubling", "stable", "2")
        assert engine.infer("doubling", [[1]], version="stable").results == [7]
        answer = session.infer([[1]])
        assert (answer.results, answer.version) == ([2], "1")
        engine.unload("doubling", "1")
        engine.register(load_doubling(task=SumTask(read=lambda total: total + 5)), version="1")
        with pytest.raises(ShuttingDownError):
            session.infer([[1]])
    with pytest.raises(ModelNotFoundError):
        engine.session("doubling", None, version="3")


def test_a_request_says_what_an_engine_takes(engine: Engine, model: DoublingModel) -> None:
    with engine.session("doubling", None, owner="tenant-1") as session:
        model.may_go.clear()
        with pytest.raises(DeadlineExceededError):
            session.infer([[1]], deadline_s=0.05)
        with pytest.raises(DeadlineExceededError):
            asyncio.run(session.ainfer([[2]], deadline_s=0.05, priority=-1))


def test_the_example_of_the_guide_runs(minilm_package: Path) -> None:
    section = GUIDE.read_text(encoding="utf-8").split("\n## Sessions\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    with Engine() as engine, warnings.catch_warnings():
        warnings.simplefilter("error")
        engine.load(minilm_package, name="minilm", backend="onnxruntime")
        names: dict[str, Any] = {"engine": engine}
        exec(block, names)  # noqa: S102 - our own
    assert names["nearest"] == "A cat sits on the mat."
