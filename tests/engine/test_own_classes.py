"""Models and tasks of a user's own that do what none should: others get their answers, and nobody waits forever."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from inferox import Engine, EngineConfig
from inferox.core import Batch, ConfigError, ExecutionError, InferoxError, Outputs, ShuttingDownError
from inferox.engine.monitor import Monitor
from tests.engine.models import DoublingModel, SumTask, double, load_doubling
from tests.engine.workers.factories import HERE

BAD = 77
STRANGE = [SystemExit(3), GeneratorExit(), asyncio.CancelledError(), BaseException("no")]


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        yield engine


def gather(engine: Engine, requests: Sequence[Sequence[Any]]) -> list[Any]:
    async def ask_all() -> list[Any]:
        asked = (engine.ainfer("doubling", items) for items in requests)
        return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 20)

    return asyncio.run(ask_all())


class StrangeModel(DoublingModel):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        if (inputs["input_ids"] == BAD).any():
            raise self._error
        return super()._compute(inputs)


class StrangeTask(SumTask):
    def __init__(self, change: Callable[[list[int]], Any]) -> None:
        super().__init__()
        self._change = change

    def decode(self, items: Sequence[Any], batch: Batch, outputs: Outputs) -> Any:
        found = super().decode(items, batch, outputs)
        return self._change(found) if any(BAD in item for item in items) else found


def refuse(error: BaseException) -> None:
    raise error


def check_mates(engine: Engine, message: str) -> None:
    held = [[1]], [[2, 3]], [[BAD]], [[4, 5, 6]]
    first, second, bad, last = gather(engine, held)
    assert [answer.results for answer in (first, second, last)] == [[2], [10], [30]]
    with pytest.raises(ExecutionError, match=message) as caught:
        raise bad
    assert caught.value.item == 0
    with ThreadPoolExecutor(1) as pool, pytest.raises(ExecutionError, match=message) as caught:
        pool.submit(engine.infer, "doubling", [[1], [BAD], [3]]).result(20)
    assert caught.value.item == 1
    assert gather(engine, [[[1], [2]]])[0].results == [2, 4]


@pytest.mark.parametrize("error", STRANGE, ids=repr)
def test_a_model_that_raises_what_is_no_exception_fails_the_row_alone(engine: Engine, error: BaseException) -> None:
    engine.register(load_doubling(StrangeModel(error)))
    check_mates(engine, "computing 'doubling' failed")


@pytest.mark.parametrize("error", STRANGE, ids=repr)
def test_a_task_that_raises_what_is_no_exception_fails_the_row_alone(engine: Engine, error: BaseException) -> None:
    engine.register(load_doubling(task=StrangeTask(lambda _: refuse(error))))
    check_mates(engine, "computing 'doubling' failed")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found[:-1], "decodes 1 row to 0 answers, not to one answer per row"),
        (lambda found: found * 2, "decodes 1 row to 2 answers"),
        (lambda _: None, "to a value of the type NoneType, not to a list"),
        (iter, "to a value of the type list_iterator"),
        (lambda found: dict(enumerate(found)), "to a value of the type dict"),
        (lambda found: "x" * len(found), "to a value of the type str"),
    ],
    ids=["fewer", "more", "none", "iterator", "dict", "text"],
)
def test_a_task_that_gives_anything_but_an_answer_per_row_fails_the_row_alone(
    engine: Engine, change: Callable[[list[int]], Any], message: str
) -> None:
    engine.register(load_doubling(task=StrangeTask(change)))
    check_mates(engine, message)


def test_answers_may_be_in_any_list(engine: Engine) -> None:
    engine.register(load_doubling(task=StrangeTask(np.array)))
    assert gather(engine, [[[BAD], [1]]])[0].results == [2 * BAD, 2]


@pytest.mark.parametrize("error", [*STRANGE[1:], ShuttingDownError("another engine is closed")], ids=repr)
def test_rows_that_cannot_be_made_fail_their_request_alone(engine: Engine, error: BaseException) -> None:
    class Choking(SumTask):
        def encode(self, items: Sequence[Any]) -> Batch:
            if "choke" in items:
                raise error
            return super().encode(items)

    engine.register(load_doubling(task=Choking()))
    first, choked, last = gather(engine, [["a"], ["choke"], ["b"]])
    assert [first.results, last.results] == [double(["a"]), double(["b"])]
    assert isinstance(choked, InferoxError)
    with ThreadPoolExecutor(1) as pool, pytest.raises(type(choked)):
        pool.submit(engine.infer, "doubling", ["choke"]).result(20)


@pytest.mark.parametrize("act", [lambda engine: engine.unload("doubling"), lambda engine: engine.close()])
def test_a_model_that_unloads_itself_while_it_computes_is_refused(
    engine: Engine, act: Callable[[Engine], None]
) -> None:
    class Restless(DoublingModel):
        def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
            if (inputs["input_ids"] == BAD).any():
                act(engine)
            return super()._compute(inputs)

    engine.register(load_doubling(Restless()))
    check_mates(engine, "a model called the engine while computing, and would wait for itself")


@pytest.mark.parametrize("other", [None, 3, DoublingModel(), SumTask()], ids=lambda other: type(other).__name__)
def test_what_is_not_a_model_with_its_task_is_not_registered(engine: Engine, other: Any) -> None:
    with pytest.raises(ConfigError, match=f"expected a TaskModel, but got a value of the type {type(other).__name__}"):
        engine.register(other)


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_function_that_returns_the_same_model_again_leaves_it_to_its_version(isolation: Any) -> None:
    with Engine(EngineConfig(isolation=isolation, threads=1)) as engine:
        engine.load(f"{HERE}make_the_same", name="first", trust_code=True)
        for name, version in (("second", "1"), ("first", "2"), (None, "1")):
            with pytest.raises(ConfigError, match="'same' was registered before"):
                engine.load(f"{HERE}make_the_same", name=name, version=version, trust_code=True)
        assert engine.infer("first", [[1, 2]]).results == [6]
        assert [info.name for info in engine.models()] == ["first"]


def test_a_model_is_registered_once(engine: Engine) -> None:
    model = load_doubling()
    with pytest.raises(ConfigError, match="'latest' is a label"):
        engine.register(model, version="latest")
    engine.register(model)
    with pytest.raises(ConfigError, match="'doubling' was registered before, and is closed with that version"):
        engine.register(model, version="2")
    assert engine.infer("doubling", [[1]]).results == [2]


@pytest.mark.parametrize("step", ["take_alone", "_begin", "end_batch"])
def test_an_interrupt_between_the_steps_of_a_lone_request_holds_nothing_up(
    engine: Engine, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class RowTask(SumTask):
        reads_items = False  # equal rows are computed once

    model = DoublingModel()
    model.note_invariance(True)
    engine.register(load_doubling(model, RowTask()))
    queue: Any = engine._models.find("doubling", None)._queue  # type: ignore[attr-defined]
    whole, interrupts = getattr(queue, step), [1]

    def interrupted(*given: Any, **options: Any) -> Any:
        if step == "end_batch" and interrupts:
            raise KeyboardInterrupt(interrupts.pop())
        found = whole(*given, **options)
        if interrupts:
            raise KeyboardInterrupt(interrupts.pop())
        return found

    monkeypatch.setattr(queue, step, interrupted)
    with pytest.raises(KeyboardInterrupt):
        engine.infer("doubling", [[1], [1]])
    assert gather(engine, [[[1], [1]], [[2]]])[0].results == [2, 2]
    assert engine.infer("doubling", [[3]]).results == [6]


def test_an_interrupt_while_a_lock_is_taken_leaves_it_free() -> None:
    monitor = Monitor()

    def interrupt(frame: FrameType, event: str, _: Any) -> Any:
        if event == "return" and frame.f_code.co_name == "__enter__":
            raise KeyboardInterrupt
        return interrupt

    sys.settrace(interrupt)
    try:
        with monitor:
            pass
    except KeyboardInterrupt:  # it is none of Python's code that takes the lock
        pass
    finally:
        sys.settrace(None)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(monitor.acquire, timeout=5).result(10)
        pool.submit(monitor.release).result(10)


def test_event_loops_of_other_threads_may_begin_while_closed_ones_are_forgotten(engine: Engine) -> None:
    engine.register(load_doubling())
    model: Any = engine._models.find("doubling", None)
    pending, other, gone = model._requests._encoder._pending, asyncio.new_event_loop(), asyncio.new_event_loop()
    gone.close()

    class Loop(asyncio.SelectorEventLoop):
        def is_closed(self) -> bool:
            if any(key[0] is self for key in list(pending)):
                pending.setdefault((other, None), [])  # as another thread does at that very moment
            return super().is_closed()

    with asyncio.Runner(loop_factory=Loop) as runner:
        pending[gone, None] = []
        answer = runner.run(asyncio.wait_for(engine.ainfer("doubling", ["b"]), 10))
    assert answer.results == double(["b"])
    assert {key[0] for key in pending} == {other}
    other.close()
