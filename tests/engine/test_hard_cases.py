"""Events that must not stop an engine, nor affect callers who have nothing to do with them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from inferox import Engine, EngineConfig
from inferox.batching import group_alike
from inferox.core import (
    Batch,
    ConfigError,
    DataType,
    DeadlineExceededError,
    ExecutionError,
    InferoxError,
    OutOfMemoryError,
    OverloadedError,
    RequestError,
    Signature,
    TensorSpec,
)
from inferox.engine.monitor import Monitor
from inferox.engine.request import RequestOptions
from inferox.engine.turns import Turns
from inferox.loading import TaskModel
from inferox.tasks import RawTask
from tests.engine.models import POISON, SIGNATURE, DoublingModel, SumTask, double, fix_rows, load_doubling


class FunctionModel(DoublingModel):
    """Does something first."""

    def __init__(self, function: Callable[[], None], *, name: str = "doubling") -> None:
        super().__init__(name=name)
        self._first = function

    def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        self._first()
        return super()._compute(inputs)


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        yield engine


@pytest.mark.parametrize(
    "options",
    [
        {"priority": None},
        {"priority": "high"},
        {"priority": True},
        {"owner": 5},
        {"deadline_s": float("inf")},
        {"deadline_s": 10**5000},  # which Python does not write
        {"priority": 10**5000},
        {"owner": [10**5000]},
        {"name": [10**5000]},
        {"deadline_s": np.array([1.0])},
        {"unscaled": 1},
        {"of_tokens": "no"},
        {"token_ids": None},
        {"unscaled": []},
        {"truncation_side": []},
        {"truncation_side": 10**5000},
        {"version": []},
        {"name": []},
        {"name": None},
    ],
    ids="_".join,
)
def test_options_of_another_type_are_refused(engine: Engine, options: dict[str, Any]) -> None:
    engine.register(load_doubling())
    with pytest.raises(RequestError):
        engine.infer(options.pop("name", "doubling"), [[1]], **options)


def test_options_may_be_numbers_of_numpy_and_become_those_of_python() -> None:
    given: dict[str, Any] = {"deadline_s": np.float32(2), "priority": np.int64(3), "of_tokens": np.bool_(True)}
    options = RequestOptions(**given)
    assert (options.deadline_s, options.priority, options.of_tokens) == (2.0, 3, True)
    assert [type(getattr(options, name)) for name in given] == [float, int, bool]
    numbers: list[Any] = [np.float64(2), np.int32(2), 2]
    assert {type(RequestOptions(number).deadline_s) for number in numbers} == {float}


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": ""},
        {"name": 5},
        {"name": "a\0b"},
        {"name": "\ud800"},
        {"version": ""},
        {"version": 1},
        {"version": None},
        {"version": []},
        {"version": "1\0"},
        {"version": "\udfff"},
        {"trust_code": "no"},
        {"compile": 1},
        {"offers": 3},
        {"later": 3},
    ],
    ids=repr,
)
def test_arguments_of_load_that_a_worker_could_not_read_are_refused(engine: Engine, arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(arguments))}|{next(iter(arguments)).replace('_', ' ')}"):
        engine.load("/nowhere", **arguments)
    if arguments.keys() <= {"name", "version"}:
        with pytest.raises(ConfigError):
            engine.register(load_doubling(), **arguments)


def test_answers_that_cannot_be_collected_are_an_error_of_their_own_request(engine: Engine) -> None:
    class Forgetful(SumTask):
        def collect(self, count: int, answers: Iterable[tuple[Sequence[int], Any]]) -> Any:
            if count == 2:
                raise MemoryError("too many")
            return super().collect(count, answers)

    engine.register(load_doubling(task=Forgetful()))
    found = []
    for items in ([[1], [2]], [[3]]):
        with ThreadPoolExecutor(1) as pool:
            found.append(pool.submit(asyncio.run, engine.ainfer("doubling", items)))
    with pytest.raises(OutOfMemoryError, match="reading the answer of 'doubling' failed: too many"):
        found[0].result(10)
    assert found[1].result(10).results == [6]


def test_a_model_that_ends_its_thread_fails_its_request_alone(engine: Engine) -> None:
    left = [1]

    def end() -> None:
        if left.pop() if left else 0:
            raise SystemExit(3)

    engine.register(load_doubling(FunctionModel(end)))
    with pytest.raises(ExecutionError, match="computing 'doubling' failed"):
        asyncio.run(engine.ainfer("doubling", [[1]]))
    assert asyncio.run(asyncio.wait_for(engine.ainfer("doubling", [[1]]), 10)).results == [2]


def test_a_caller_that_is_interrupted_while_it_waits_for_a_turn_leaves_the_line() -> None:
    turns = Turns()

    class Interrupted(Monitor):
        def wait(self, *_: Any, **__: Any) -> Any:
            raise KeyboardInterrupt

    whole = turns._condition
    with turns.of("first"):
        turns._condition = Interrupted(whole._lock)  # type: ignore[attr-defined]
        with pytest.raises(KeyboardInterrupt), turns.of("second"):
            pass
        turns._condition = whole
    with turns.of("third"):
        pass


def test_items_that_a_task_chokes_on_fail_their_own_request_alone(engine: Engine) -> None:
    class Choking(SumTask):
        def encode(self, items: Sequence[Any]) -> Batch:
            if "choke" in items:
                raise ZeroDivisionError("no")
            return super().encode(items)

    async def ask_all() -> list[Any]:
        asked = (engine.ainfer("doubling", [text]) for text in ("a", "choke", "b"))
        return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 10)

    engine.register(load_doubling(task=Choking()))
    first, choked, last = asyncio.run(ask_all())
    assert [first.results, last.results] == [double(["a"]), double(["b"])]
    assert isinstance(choked, ExecutionError)
    assert "encoding the items failed: no" in str(choked)


def test_a_model_that_calls_the_engine_while_it_computes_gets_an_error(engine: Engine) -> None:
    engine.register(load_doubling(DoublingModel(name="inner")))

    def ask() -> None:
        engine.infer("inner", [[1]])

    engine.register(load_doubling(FunctionModel(ask, name="outer")))
    with pytest.raises(ExecutionError, match="a model called the engine while computing"):
        engine.infer("outer", [[1]])


@pytest.mark.parametrize("items", ["hello", b"hello", np.array(5)])
def test_a_single_item_is_refused_by_both(engine: Engine, items: Any) -> None:
    engine.register(load_doubling())
    with pytest.raises(RequestError, match="expected a list of items"):
        engine.infer("doubling", items)
    with pytest.raises(RequestError, match="expected a list of items"):
        asyncio.run(engine.ainfer("doubling", items))


def test_a_stream_is_of_one_version(engine: Engine) -> None:
    engine.register(load_doubling())
    stream = engine.stream("doubling", ([1] for _ in range(60)), chunk=2)
    first = next(stream)
    engine.register(load_doubling(task=SumTask(read=lambda total: total + 1000)), version="2")
    assert {first, *stream} == {2}


def test_a_stream_waits_where_a_request_is_refused() -> None:
    model = DoublingModel()
    model.seconds = 0.002
    with Engine(EngineConfig(max_waiting_tokens=20)) as engine:
        engine.register(load_doubling(model))
        assert list(engine.stream("doubling", [[1] * 5] * 40, chunk=3)) == [10] * 40


def test_a_stream_gives_what_comes_before_an_item_that_is_refused(engine: Engine) -> None:
    engine.register(load_doubling())
    stream = engine.stream("doubling", ["a"] * 25 + ["b!"] + ["c"] * 40, chunk=10)
    found: list[int] = []
    with pytest.raises(RequestError, match="is loud"):
        found.extend(stream)
    assert found == double(["a"] * 20)
    with pytest.raises(ConfigError, match="chunk must be a positive integer"):
        engine.stream("doubling", ["a"], chunk=0)
    with pytest.raises(RequestError, match="expected several items, but got a single one"):
        engine.stream("doubling", "a text")  # whose characters would be its items


def test_rows_that_differ_in_shape_are_of_different_groups() -> None:
    signature = Signature((TensorSpec("x", DataType.F32, ("batch", "width")),), ())
    keys = [set(group_alike(Batch.of_rows({"x": np.zeros((2, width), np.float32)}), signature)) for width in (4, 5, 4)]
    assert keys[0] == keys[2]
    assert not keys[0] & keys[1]


def test_a_deadline_holds_while_another_model_has_its_turn(engine: Engine) -> None:
    slow = DoublingModel(name="slow")
    slow.may_go.clear()
    engine.register(load_doubling(slow))
    engine.register(load_doubling())
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(engine.infer, "slow", [[1]])
        assert slow.has_begun.wait(10)
        with pytest.raises(DeadlineExceededError):
            engine.infer("doubling", [[1]], deadline_s=0.05)
        slow.may_go.set()
        assert waits.result(10).results == [2]


def test_a_deadline_holds_while_items_are_encoded(engine: Engine) -> None:
    class Slow(SumTask):
        def encode(self, items: Sequence[Any]) -> Batch:
            time.sleep(0.5)
            return super().encode(items)

    async def ask() -> float:
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            await engine.ainfer("doubling", [[1]], deadline_s=0.05)
        return time.monotonic() - began

    engine.register(load_doubling(task=Slow()))
    assert asyncio.run(ask()) < 0.4


def test_idle_lanes_compute_at_the_same_time(engine: Engine) -> None:
    both = threading.Barrier(2, timeout=20)

    class Meeting(DoublingModel):
        def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
            both.wait()  # each waits until the other computes too
            return super()._compute(inputs)

    engine.register(load_doubling(Meeting(max_concurrency=2)))
    assert engine.infer("doubling", [[1] * 1000, [2] * 1000]).results == [2000, 4000]


def test_a_model_of_fixed_rows_gets_full_batches() -> None:
    shapes = []

    class Fixed(DoublingModel):
        def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
            shapes.append(inputs["input_ids"].shape)
            return super()._compute(inputs)

    model = fix_rows(Fixed(), 8)
    with Engine(EngineConfig(max_batch_tokens=512)) as engine:
        engine.register(load_doubling(model))
        items = [[1] * 256] * 64
        assert engine.infer("doubling", items).results == double(items)
    assert len(shapes) == 8


def test_requests_that_are_given_up_together_are_not_computed(engine: Engine) -> None:
    model = DoublingModel()
    engine.register(load_doubling(model))
    with pytest.raises(ExecutionError):
        engine.infer_many("doubling", [[[POISON]], *([[index] * 900] for index in range(30))])
    engine.close()
    assert sum(map(len, model.batches)) < 25


def test_one_model_that_cannot_be_closed_does_not_keep_others_open() -> None:
    class Stuck(DoublingModel):
        def close(self) -> None:
            raise RuntimeError("stuck")

    other = DoublingModel(name="other")
    engine = Engine()
    engine.register(load_doubling(Stuck(name="stuck")))
    engine.register(load_doubling(other))
    with pytest.raises(RuntimeError, match="stuck"):
        engine.close()
    assert other.is_closed


def test_whole_calls_are_computed_one_by_one_and_named(engine: Engine) -> None:
    model = DoublingModel()
    engine.register(TaskModel(model, RawTask({}, SIGNATURE), rejected={}))

    def call(*numbers: int) -> dict[str, list[list[int]]]:
        return {"input_ids": [list(numbers)], "attention_mask": [[1] * len(numbers)]}

    answer = engine.infer("doubling", [call(1, 2), call(3)])
    assert [result["doubled"].tolist() for result in answer.results] == [[[2, 4]], [[6]]]
    assert engine.stats("doubling").batches == 2
    with pytest.raises(InferoxError) as caught:
        engine.infer("doubling", [call(1), call(POISON)])
    assert caught.value.item == 1


def test_a_refusal_says_when_to_come_again() -> None:
    model = DoublingModel()
    with Engine(EngineConfig(max_waiting_tokens=10)) as engine, ThreadPoolExecutor(2) as pool:
        engine.register(load_doubling(model))
        engine.infer("doubling", [[1]])
        model.may_go.clear()
        model.has_begun.clear()
        asked = [pool.submit(engine.infer, "doubling", [[1]])]
        assert model.has_begun.wait(10)
        asked.append(pool.submit(engine.infer, "doubling", [[1] * 10]))
        while not engine.stats("doubling").waiting_rows:
            time.sleep(0.001)
        with pytest.raises(OverloadedError) as caught:
            engine.infer("doubling", [[1]])
        assert caught.value.retry_after_s is not None
        model.may_go.set()
        assert [future.result(10).results for future in asked] == [[2], [20]]
