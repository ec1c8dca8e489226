"""The engine: every caller gets the answer that it would get alone, or an error of its own."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from inferox import Engine, EngineConfig
from inferox.core import (
    ConfigError,
    DeadlineExceededError,
    ExecutionError,
    InferoxError,
    ModelNotFoundError,
    OutOfMemoryError,
    OverloadedError,
    PackageError,
    RequestError,
    ShapeMismatchError,
    ShuttingDownError,
)
from tests.engine.models import POISON, DoublingModel, SumTask, double, load_doubling


@contextmanager
def held(engine: Engine, model: DoublingModel) -> Iterator[None]:
    """Keeps a batch computing meanwhile, so that requests queue up."""
    model.may_go.clear()
    model.has_begun.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(engine.infer, "doubling", [[1]])
        assert model.has_begun.wait(20)
        try:
            yield
        finally:
            model.may_go.set()
        assert first.result(20).results == [2]


def wait_for_rows(engine: Engine, count: int) -> None:
    deadline = time.monotonic() + 20
    while engine.stats("doubling").waiting_rows < count:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def random_items(count: int, seed: int = 0) -> list[list[int]]:
    numbers = random.Random(seed)  # noqa: S311 - no secret
    return [[numbers.randrange(500) for _ in range(numbers.randrange(1, 60))] for _ in range(count)]


def test_64_coroutines_get_their_own_answers_in_shared_batches(engine: Engine, model: DoublingModel) -> None:
    model.seconds = 0.001
    requests = [random_items(1 + index % 5, seed=index) for index in range(300)]

    async def ask_all() -> list[list[int]]:
        left = iter(enumerate(requests))
        found: list[list[int]] = [[] for _ in requests]

        async def ask() -> None:
            for index, items in left:
                found[index] = (await engine.ainfer("doubling", items)).results

        await asyncio.gather(*(ask() for _ in range(64)))
        return found

    assert asyncio.run(ask_all()) == [double(items) for items in requests]
    assert max(map(len, model.batches)) > 5  # rows of several callers
    assert sum(map(len, model.batches)) == sum(map(len, requests))  # each is computed once


def test_texts_of_coroutines_that_ask_at_once_are_encoded_together(model: DoublingModel) -> None:
    task = SumTask()
    requests = [[f"text {index}", "x" * (index % 9 + 1)][: 1 + index % 2] for index in range(40)]
    poisoned = [["fine", chr(POISON)], ["and a long text", "short", chr(POISON), "more"]]
    loud = ["quiet", "loud!"]

    async def ask(engine: Engine, items: list[str]) -> list[int] | InferoxError:
        try:
            return list((await engine.ainfer("doubling", items)).results)
        except InferoxError as error:
            return error

    def ask_all(engine: Engine, several: list[list[str]]) -> list[list[int] | InferoxError]:
        async def ask_them() -> list[list[int] | InferoxError]:
            return await asyncio.gather(*(ask(engine, items) for items in several))

        return asyncio.run(ask_them())

    with Engine() as engine:
        engine.register(load_doubling(model, task))
        assert ask_all(engine, requests) == [double(items) for items in requests]
        assert max(task.encoded) > 40
        *answers, first, second = ask_all(engine, [*requests, *poisoned])
        assert answers == [double(items) for items in requests]
        assert isinstance(first, ExecutionError)
        assert isinstance(second, ExecutionError)
        assert (first.item, second.item) == (1, 2)
        *answers, error = ask_all(engine, [*requests, loud])
        assert answers == [double(items) for items in requests]
        assert str(error) == "text 1 is loud"
        assert ask_all(engine, [["x" * 20_000], ["y"]]) == [double(["x" * 20_000]), double(["y"])]


def test_threads_get_their_own_answers_in_all_lanes() -> None:
    model = DoublingModel(max_concurrency=3)
    with Engine() as engine, ThreadPoolExecutor(16) as pool:
        engine.register(load_doubling(model))
        requests = [random_items(1 + index % 7, seed=index) for index in range(200)]
        answers = list(pool.map(lambda items: engine.infer("doubling", items).results, requests))
    assert answers == [double(items) for items in requests]
    assert model.is_closed


def test_a_lone_request_is_computed_on_its_callers_thread(engine: Engine) -> None:
    before = threading.active_count()
    assert engine.infer("doubling", [[1, 2], [3]]).results == [6, 6]
    assert threading.active_count() == before


def test_an_answer_says_what_computed_it(engine: Engine) -> None:
    answer = engine.infer("doubling", [[1]])
    assert (answer.model, answer.version, answer.artifact) == ("doubling", "1", "numpy/function/fp32/padded")
    (info,) = engine.models()
    assert (info.name, info.version, info.task, info.artifact) == ("doubling", "1", "sum", answer.artifact)


def test_no_items_have_no_answers(engine: Engine, model: DoublingModel) -> None:
    assert engine.infer("doubling", []).results == []
    assert asyncio.run(engine.ainfer("doubling", [])).results == []
    assert model.batches == []


def test_a_row_that_cannot_be_computed_fails_its_own_request_alone(engine: Engine, model: DoublingModel) -> None:
    requests = [random_items(4, seed=index) for index in range(12)]
    requests[3][2] = [1, POISON]
    requests[9][0] = [POISON]
    with ThreadPoolExecutor(12) as pool:
        with held(engine, model):
            futures = [pool.submit(engine.infer, "doubling", items) for items in requests]
            wait_for_rows(engine, 48)
        for index, (future, items) in enumerate(zip(futures, requests, strict=True)):
            if index not in {3, 9}:
                assert future.result(20).results == double(items)
        for index, item in ((3, 2), (9, 0)):
            with pytest.raises(ExecutionError, match=f"^item {item}: .*a number is poison") as caught:
                futures[index].result(20)
            assert caught.value.item == item
    assert engine.infer("doubling", [[5]]).results == [10]
    before = engine.stats("doubling")
    assert before.failed_batches >= before.split_batches >= 1
    with pytest.raises(ExecutionError):
        engine.infer("doubling", [[POISON]])
    after = engine.stats("doubling")  # a row by itself cannot be divided
    assert (after.failed_batches, after.split_batches) == (before.failed_batches + 1, before.split_batches)


def test_answers_that_cannot_be_read_fail_their_own_request_alone(model: DoublingModel) -> None:
    def read(total: int) -> int:
        if total == 26:
            raise ZeroDivisionError("no")
        return total

    with Engine() as engine:
        engine.register(load_doubling(model, SumTask(read=read)))
        with pytest.raises(ExecutionError, match="reading the answer of 'doubling' failed: no") as caught:
            engine.infer("doubling", [[1], [13], [2]])
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert engine.infer("doubling", [[1], [2]]).results == [2, 4]


def test_where_memory_is_short_batches_are_halved() -> None:
    model = DoublingModel(most_places=64)
    with Engine() as engine:
        engine.register(load_doubling(model))
        items = [[number] * 8 for number in range(40)]
        assert engine.infer("doubling", items).results == double(items)
        failures = sum(sum(map(len, batch)) > 64 for batch in model.batches)
        assert failures == 3  # of 320, 160 and 80 places
        assert (engine.stats("doubling").failed_batches, engine.stats("doubling").split_batches) == (3, 3)
        model.batches.clear()
        assert engine.infer("doubling", items).results == double(items)
        assert all(sum(map(len, batch)) <= 64 for batch in model.batches)  # it has learned
        with pytest.raises(OutOfMemoryError, match=r"^item 1: "):
            engine.infer("doubling", [[1], [1] * 65])
        assert engine.infer("doubling", items[:3]).results == double(items[:3])


def test_a_request_of_many_rows_adds_one_batch_to_the_wait_of_a_single_one(
    engine: Engine, model: DoublingModel
) -> None:
    with ThreadPoolExecutor(2) as pool:
        with held(engine, model):
            large = pool.submit(engine.infer, "doubling", [[7] * 10] * 2048)
            wait_for_rows(engine, 2048)
            model.may_go.set()
            while len(model.batches) < 3:
                time.sleep(0.0005)
            model.may_go.clear()
            begun = len(model.batches)
            single = pool.submit(engine.infer, "doubling", [[1, 2, 3]])
            deadline = time.monotonic() + 20
            while engine.stats("doubling").waiting_rows % 2 == 0 and time.monotonic() < deadline and not single.done():
                time.sleep(0.0005)
        assert single.result(20).results == [12]
        assert large.result(20).results == [140] * 2048
    with_single = next(index for index, batch in enumerate(model.batches) if [1, 2, 3] in batch)
    assert with_single <= begun + 1


def test_several_requests_at_once(engine: Engine) -> None:
    requests = [random_items(3, seed=index) for index in range(40)]
    answers = engine.infer_many("doubling", requests)
    assert [answer.results for answer in answers] == [double(items) for items in requests]


@pytest.mark.parametrize(("item", "error"), [("!", RequestError), ([POISON], ExecutionError)])
def test_the_error_of_several_requests_says_which_one_failed(
    engine: Engine, item: Any, error: type[InferoxError]
) -> None:
    with pytest.raises(error) as caught:
        engine.infer_many("doubling", [[[1]], [], [[2], item], [[3]]])
    assert caught.value.__notes__ == ["in request 2, counted from 0"]


@pytest.mark.parametrize("requests", [None, 3, "abc", b"abc", {"a": [[1]]}, {1, 2}])
def test_what_is_no_list_of_requests_is_refused(engine: Engine, requests: Any) -> None:
    with pytest.raises(RequestError, match=r"expected a list of (requests|items), but got"):
        engine.infer_many("doubling", requests)


def test_a_stream_is_answered_in_order_and_read_only_as_far_as_needed(engine: Engine) -> None:
    read = [0]

    def items() -> Iterator[list[int]]:
        for index in range(600):
            read[0] = index
            yield [index] * (1 + index % 7)

    stream = engine.stream("doubling", items(), chunk=10)
    assert next(stream) == 0
    assert read[0] < 60
    assert list(stream) == double(items())[1:]
    assert list(engine.stream("doubling", [])) == []


def test_a_stream_gives_what_its_source_gave_before_it_failed(engine: Engine) -> None:
    def fail() -> Iterator[list[int]]:
        yield from ([number] for number in range(50))
        raise ZeroDivisionError("the source")

    for chunk in (1, 7, 25, 256):
        found: list[int] = []
        with pytest.raises(ZeroDivisionError, match="the source"):
            found.extend(engine.stream("doubling", fail(), chunk=chunk))
        assert found == [2 * number for number in range(50)]


def test_a_stream_names_the_item_of_all_that_fails(engine: Engine) -> None:
    items = [[1]] * 27 + [[POISON]] + [[2]] * 30
    stream = engine.stream("doubling", items, chunk=10)
    found: list[int] = []
    with pytest.raises(ExecutionError, match=r"^item 27: "):
        found.extend(stream)
    assert found == [2] * 20
    assert engine.infer("doubling", [[5]]).results == [10]


def test_an_answer_that_comes_too_late_is_not_waited_for(engine: Engine, model: DoublingModel) -> None:
    with held(engine, model):
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError, match=r"not ready within 0\.05 s"):
            engine.infer("doubling", [[1] * 9], deadline_s=0.05)
        with pytest.raises(DeadlineExceededError):
            asyncio.run(engine.ainfer("doubling", [[2] * 9], deadline_s=0.05))
        assert time.monotonic() - began < 10  # neither waits for the batch in progress
    assert engine.infer("doubling", [[3]], deadline_s=20).results == [6]
    assert all([1] * 9 not in batch and [2] * 9 not in batch for batch in model.batches)  # and neither is computed


def test_what_cannot_be_there_in_time_is_refused_at_once(engine: Engine, model: DoublingModel) -> None:
    model.seconds = 0.2
    engine.infer("doubling", [[1]])
    with ThreadPoolExecutor(6) as pool, held(engine, model):
        waits = [pool.submit(engine.infer, "doubling", [[1] * 100]) for _ in range(5)]
        wait_for_rows(engine, 5)
        # One token takes a fifth of a second or more, and would be one of six requests that take turns.
        with pytest.raises(OverloadedError, match="with the queue and the running batches it takes") as raised:
            engine.infer("doubling", [[1]], deadline_s=0.7)
        assert (engine.stats("doubling").predicted_queue_s or 0) > 1
        assert (raised.value.retry_after_s or 0) > 0.4
        with pytest.raises(DeadlineExceededError, match="to compute, but the answer is needed within"):
            engine.infer("doubling", [[1] * 1000], deadline_s=0.7)
        other = pool.submit(engine.infer, "doubling", [[1]], deadline_s=20, owner="another")
        wait_for_rows(engine, 6)  # its owner has a share that nobody else uses
        model.seconds = 0
        model.may_go.set()
        assert [future.result(20).results for future in (*waits, other)] == [[200]] * 5 + [[2]]
    assert engine.stats("doubling").predicted_queue_s == 0


def test_the_rest_of_the_batch_that_is_computed_counts(engine: Engine, model: DoublingModel) -> None:
    model.seconds = 1.0
    engine.infer("doubling", [[1]])
    with ThreadPoolExecutor(2) as pool:
        model.has_begun.clear()
        running = pool.submit(engine.infer, "doubling", [[2]])
        assert model.has_begun.wait(10)
        with pytest.raises(OverloadedError, match="and the running batches it takes") as raised:
            engine.infer("doubling", [[3]], deadline_s=1.05)  # it takes one second, and the other the rest of one
        assert 0 < (raised.value.retry_after_s or 0) < 1
        waits = pool.submit(engine.infer, "doubling", [[4]], deadline_s=20)
        assert [future.result(20).results for future in (running, waits)] == [[4], [8]]


def test_a_batch_beside_which_another_may_be_computed_holds_nothing_up() -> None:
    model = DoublingModel(max_concurrency=2)
    model.seconds = 0.8
    with Engine() as engine:
        engine.register(load_doubling(model))
        engine.infer("doubling", [[1]])
        with ThreadPoolExecutor(1) as pool:
            model.has_begun.clear()
            running = pool.submit(engine.infer, "doubling", [[2]])
            assert model.has_begun.wait(10)
            model.seconds = 0.0
            assert engine.infer("doubling", [[3]], deadline_s=1.4).results == [6]  # not 0.8 s twice
            assert running.result(20).results == [4]


def test_an_estimate_that_is_too_high_is_corrected(engine: Engine, model: DoublingModel) -> None:
    model.seconds = 1
    engine.infer("doubling", [[1]])
    model.seconds = 0
    assert engine.infer("doubling", [[1]], deadline_s=0.7).results == [2]  # although it should take a second


def test_a_caller_who_has_gone_is_not_computed_for(engine: Engine, model: DoublingModel) -> None:
    async def ask_and_go() -> None:
        asking = asyncio.create_task(engine.ainfer("doubling", [[4, 4, 4]]))
        while not engine.stats("doubling").waiting_rows:
            await asyncio.sleep(0.001)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    with held(engine, model):
        asyncio.run(ask_and_go())
    assert engine.infer("doubling", [[5]]).results == [10]
    assert all([4, 4, 4] not in batch for batch in model.batches)


def test_more_than_may_wait_is_refused_as_a_whole(model: DoublingModel) -> None:
    with Engine(EngineConfig(max_waiting_tokens=20)) as engine, ThreadPoolExecutor(1) as pool:
        engine.register(load_doubling(model))
        with held(engine, model):
            waits = pool.submit(engine.infer, "doubling", [[1] * 15])
            wait_for_rows(engine, 1)
            with pytest.raises(OverloadedError, match="and 6 more would exceed the limit of 20"):
                engine.infer("doubling", [[1] * 3, [1] * 3])
            assert engine.stats("doubling").waiting_rows == 1
        assert waits.result(20).results == [30]
        assert engine.infer("doubling", [[1] * 100]).results == [200]  # if nothing waits, it could never be admitted


def test_a_request_that_does_not_fit_the_model_is_refused_before_it_waits(engine: Engine, model: DoublingModel) -> None:
    with pytest.raises(ShapeMismatchError, match="row 1"):
        engine.infer("doubling", [[1], []])
    with pytest.raises(RequestError, match="no prompts"):
        engine.infer("doubling", [[1]], prompt="query")
    with pytest.raises(RequestError, match="expected a list"):
        engine.infer("doubling", 5)  # type: ignore[arg-type]
    assert model.batches == []


def test_names_and_versions(engine: Engine) -> None:
    engine.register(load_doubling(task=SumTask(read=lambda total: total + 1)), version="2")
    assert engine.infer("doubling", [[1]]).results == [3]
    assert engine.infer("doubling", [[1]], version="1").results == [2]
    with pytest.raises(ConfigError, match="'doubling' already has the version '2'"):
        engine.register(load_doubling(), version="2")
    with pytest.raises(ModelNotFoundError, match=r"no version '3' of 'doubling' is loaded \(it has 1, 2\)"):
        engine.infer("doubling", [[1]], version="3")
    with pytest.raises(RequestError, match="a version must be a string, but is 2"):
        engine.infer("doubling", [[1]], version=2)  # type: ignore[arg-type]
    with pytest.raises(PackageError, match="but got a value of the type NoneType"):
        engine.load(None)  # type: ignore[arg-type]
    with pytest.raises(ModelNotFoundError, match=r"no model 'other' is loaded \(the loaded models are doubling\)"):
        engine.infer("other", [[1]])
    engine.unload("doubling", "2")
    assert engine.infer("doubling", [[1]]).results == [2]
    engine.unload("doubling")
    with pytest.raises(ModelNotFoundError, match="nothing is loaded"):
        engine.infer("doubling", [[1]])


def test_what_was_admitted_is_answered_before_a_model_is_unloaded(engine: Engine, model: DoublingModel) -> None:
    with ThreadPoolExecutor(8) as pool, held(engine, model):
        futures = [pool.submit(engine.infer, "doubling", [[index]]) for index in range(6)]
        wait_for_rows(engine, 6)
        unloading = threading.Thread(target=engine.unload, args=("doubling",))
        unloading.start()
        while engine.models():
            time.sleep(0.002)
        with pytest.raises(ModelNotFoundError):
            engine.infer("doubling", [[1]])
        assert not model.is_closed
        model.may_go.set()
        assert [future.result(20).results for future in futures] == [[2 * index] for index in range(6)]
        unloading.join(20)
    assert model.is_closed


def test_a_closed_engine_takes_nothing(engine: Engine, model: DoublingModel) -> None:
    engine.close()
    engine.close()
    assert model.is_closed
    with pytest.raises(ShuttingDownError, match="the engine is closed"):
        engine.infer("doubling", [[1]])
    with pytest.raises(ShuttingDownError, match="the engine is closed"):
        engine.register(load_doubling())


def test_no_request_is_lost_while_versions_come_and_go() -> None:
    asked, stop = [0] * 4, threading.Event()

    def ask(place: int, engine: Engine) -> None:
        while not stop.is_set():
            items = random_items(3, seed=asked[place])
            assert engine.infer("doubling", items).results == double(items)
            asked[place] += 1

    with Engine() as engine, ThreadPoolExecutor(4) as pool:
        engine.register(load_doubling(), version="0")
        futures = [pool.submit(ask, place, engine) for place in range(4)]
        try:
            for version in range(1, 60):
                engine.register(load_doubling(), version=str(version))
                engine.unload("doubling", str(version - 1))
        finally:
            stop.set()
        for future in futures:
            future.result(20)
    assert all(asked)


def test_no_coroutine_is_lost_while_versions_come_and_go() -> None:
    async def ask(engine: Engine, place: int, stop: asyncio.Event) -> int:
        asked = 0
        while not stop.is_set():
            items = ["x" * (1 + (place + asked) % 7), f"{asked}"]
            assert (await engine.ainfer("doubling", items)).results == double(items)
            asked += 1
        return asked

    async def swap(engine: Engine) -> list[int]:
        stop = asyncio.Event()
        asking = [asyncio.create_task(ask(engine, place, stop)) for place in range(8)]
        for version in range(1, 60):
            await asyncio.sleep(0)
            engine.register(load_doubling(), version=str(version))
            await asyncio.to_thread(engine.unload, "doubling", str(version - 1))
        stop.set()
        return await asyncio.gather(*asking)

    with Engine() as engine:
        engine.register(load_doubling(), version="0")
        assert all(asyncio.run(swap(engine)))


def test_models_take_turns_on_a_device() -> None:
    computing, most, lock = [0], [0], threading.Lock()

    class Watched(DoublingModel):
        def _compute(self, inputs):  # type: ignore[no-untyped-def]
            with lock:
                computing[0] += 1
                most[0] = max(most[0], computing[0])
            try:
                return super()._compute(inputs)
            finally:
                with lock:
                    computing[0] -= 1

    models = [Watched(name=name) for name in ("first", "second", "third")]
    with Engine() as engine, ThreadPoolExecutor(9) as pool:
        for model in models:
            model.seconds = 0.001
            engine.register(load_doubling(model))
        asked = [pool.submit(engine.infer, models[index % 3].name, [[index]]) for index in range(90)]
        assert [future.result(20).results for future in asked] == [[2 * index] for index in range(90)]
    assert most == [1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threads": 0}, "threads must be a positive integer, but is 0"),
        ({"max_batch_tokens": 0}, "max_batch_tokens must be"),
        ({"max_batch_rows": True}, "max_batch_rows must be"),
        ({"max_waiting_tokens": 1.5}, "max_waiting_tokens must be"),
        ({"refuse_non_finite": 1}, "refuse_non_finite must be True or False, but is 1"),
        ({"isolation": "fork"}, "isolation must be 'thread' or 'process', but is 'fork'"),
        ({"workers": 0, "isolation": "process"}, "workers must be a positive integer, but is 0"),
        ({"workers": 8000, "isolation": "process"}, r"workers may be at most \d+ on this machine, but is 8,000"),
        ({"workers": 2}, "workers is 2, but isolation is 'thread'"),
        ({"hang_limit_s": 5.0}, "hang_limit_s is 5.0, but a computation within this process cannot be stopped"),
        ({"hang_limit_s": 0}, "hang_limit_s must be a positive number of seconds, up to a year, but is 0"),
        ({"retry_s": 1e300}, "retry_s must be a positive number of seconds, up to a year, but is 1e"),
        ({"retry_s": float("nan")}, "retry_s must be"),
        ({"retry_s": np.bool_(True)}, "retry_s must be"),
        ({"hang_limit_s": 10**400, "isolation": "process"}, "hang_limit_s must be"),
        ({"max_batch_rows": -(10**5000)}, "max_batch_rows must be a positive integer, but is a value of the type int"),
        ({"cache_bytes": -(10**5000)}, "cache_bytes must be an integer of 0 or more, but is a value of the type int"),
        ({"max_batch_tokens": 10**400}, "max_batch_tokens may be at most 9,223,372,036,854,775,807, but is 1000"),
    ],
)
def test_settings_that_are_wrong(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EngineConfig(**settings)


def test_settings_may_be_numbers_of_numpy_and_become_those_of_python() -> None:
    given: dict[str, Any] = {"retry_s": np.float32(3), "hang_limit_s": np.int64(2), "workers": np.int32(1)}
    config = EngineConfig(isolation="process", **given)
    assert [(type(value), value) for value in (getattr(config, name) for name in given)] == [
        (float, 3.0),
        (float, 2.0),
        (int, 1),
    ]


def test_settings_of_batches_hold() -> None:
    for config in (EngineConfig(max_batch_rows=3), EngineConfig(max_batch_tokens=12)):
        model = DoublingModel()
        with Engine(config) as engine:
            engine.register(load_doubling(model))
            items = [[number] * 4 for number in range(20)]
            assert engine.infer("doubling", items).results == double(items)
        assert max(map(len, model.batches)) == 3


@pytest.mark.parametrize("deadline_s", [0, -1, float("nan")])
def test_deadlines_that_are_wrong(engine: Engine, deadline_s: float) -> None:
    with pytest.raises(InferoxError, match="a deadline must be a positive number of seconds"):
        engine.infer("doubling", [[1]], deadline_s=deadline_s)


def test_no_coroutine_waits_for_rows_that_cannot_be_made(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("inferox.engine.encoding.group_alike", fail)

    async def ask_all() -> list[Any]:
        asked = [engine.ainfer("doubling", [item]) for item in ("short", "text", "long" * 5000)]
        return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 20)

    for error in asyncio.run(ask_all()):
        assert isinstance(error, OutOfMemoryError)
        assert "encoding the items failed: MemoryError" in str(error)


def test_an_answer_says_how_long_it_waited_and_was_computed(engine: Engine, model: DoublingModel) -> None:
    model.may_go.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(engine.infer, "doubling", [[1]])
        assert model.has_begun.wait(20)
        second = pool.submit(engine.infer, "doubling", [[2, 3]])
        wait_for_rows(engine, 1)
        time.sleep(0.05)
        model.may_go.set()
        assert first.result().compute_s >= 0.05
        assert second.result().queue_s >= 0.05
