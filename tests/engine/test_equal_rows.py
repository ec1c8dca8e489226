"""Equal rows are computed once, and nobody depends on another caller of the same row."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from inferox import Engine, EngineConfig
from inferox.core import Batch, DeadlineExceededError, ExecutionError, Outputs
from inferox.engine.answer import Answer
from inferox.engine.answer_cache import AnswerCache
from inferox.engine.encoding import Encoding
from inferox.engine.request import Request, RequestOptions
from inferox.engine.runner import ModelRunner
from inferox.engine.shift import Shift
from tests.engine.models import POISON, SIGNATURE, DoublingModel, SumTask, double, load_doubling


class RowTask(SumTask):
    """Its answers only depend on the numbers; those of two texts may be equal."""

    reads_items = False

    def encode(self, items: Sequence[Sequence[int] | str]) -> Batch:
        return super().encode([item.lower() if isinstance(item, str) else item for item in items])


class EchoTask(RowTask):
    """Its answers contain their texts."""

    reads_items = True

    def decode(self, items: Sequence[Any], batch: Batch, outputs: Outputs) -> list[Any]:
        return [(item, total) for item, total in zip(items, super().decode(items, batch, outputs), strict=True)]


class VectorTask(RowTask):
    """Its answers are arrays, which their callers may change."""

    def decode(self, items: Sequence[Any], batch: Batch, outputs: Outputs) -> list[Any]:
        return [np.array([total]) for total in super().decode(items, batch, outputs)]


def make_model(*, batch_invariant: bool | None = True, max_concurrency: int = 1) -> DoublingModel:
    model = DoublingModel(max_concurrency=max_concurrency)
    model.note_invariance(batch_invariant)
    return model


@contextmanager
def serving(model: DoublingModel, task: SumTask | None = None, **settings: Any) -> Iterator[Engine]:
    with Engine(EngineConfig(**settings)) as engine:
        engine.register(load_doubling(model, task or RowTask()))
        yield engine
        model.may_go.set()


@contextmanager
def held(engine: Engine, model: DoublingModel, items: list[Any]) -> Iterator[None]:
    """Keeps a batch with the items computing meanwhile."""
    model.may_go.clear()
    model.has_begun.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(engine.infer, "doubling", items, owner="held")
        assert model.has_begun.wait(10)
        yield
        model.may_go.set()
        first.exception(10)


def count_computed(model: DoublingModel, numbers: list[int]) -> int:
    return sum(row == numbers for batch in model.batches for row in batch)


@pytest.mark.parametrize("cache_bytes", [0, 2**20])
def test_callers_of_equal_rows_have_answers_of_their_own(cache_bytes: int) -> None:
    model = make_model()

    async def ask_all() -> list[Any]:
        return await asyncio.gather(*(engine.ainfer("doubling", [[5], [5]]) for _ in range(3)))

    with serving(model, VectorTask(), cache_bytes=cache_bytes) as engine:
        found = [result for answer in asyncio.run(ask_all()) for result in answer.results]
        assert count_computed(model, [5]) == 1
        assert not any(np.shares_memory(one, other) for index, one in enumerate(found) for other in found[:index])


def test_what_the_first_caller_does_with_its_answer_changes_no_others() -> None:
    model = make_model()
    with serving(model, VectorTask(), cache_bytes=2**20) as engine:
        runner = engine._models.find("doubling", None)

        def ask(**options: Any) -> Future[Answer]:
            return runner.ask([[5]], RequestOptions(**options), time.monotonic())

        with held(engine, model, [[1]]):
            first = ask(priority=-1)
            first.add_done_callback(lambda done: done.result().results[0].fill(0))
            second = ask()
        assert second.result(20).results == [[10]]
        assert engine.infer("doubling", [[5]]).results == [[10]]
        assert (engine.stats("doubling").equal_rows, engine.stats("doubling").cached_rows) == (1, 1)
        assert first.result().results == [[0]]


class Uncopyable:
    """An answer that cannot be copied, like a lock or an iterator."""

    def __init__(self, total: int) -> None:
        self.total = total

    def __deepcopy__(self, _: Any) -> Any:
        raise TypeError("it cannot be copied")


class UncopyableTask(RowTask):
    def decode(self, items: Sequence[Any], batch: Batch, outputs: Outputs) -> list[Any]:
        return [Uncopyable(total) for total in super().decode(items, batch, outputs)]


@pytest.mark.parametrize("cache_bytes", [0, 2**20])
def test_equal_rows_whose_answers_cannot_be_copied_are_computed_each(cache_bytes: int) -> None:
    model = make_model()
    with serving(model, UncopyableTask(), cache_bytes=cache_bytes) as engine:
        for _ in range(2):
            answers = ask_all(engine, [[[5], [6]], [[6], [5], [5]], [[5]]], deadline_s=20)
            assert [[each.total for each in answer.results] for answer in answers] == [[10, 12], [12, 10, 10], [10]]
            every = [each for answer in answers for each in answer.results]
            assert len({id(each) for each in every}) == len(every)


def test_equal_rows_that_are_to_be_computed_again_wait_if_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """They belong to other requests than the batch, whose own get the error."""
    with serving(make_model(), UncopyableTask()) as engine:
        runner = engine._models.find("doubling", None)
        assert isinstance(runner, ModelRunner)
        begin, uses = runner._lineup._begin_use, list[int]()

        def begin_but_once() -> Any:
            uses.append(1)
            if len(uses) == 2:
                raise ExecutionError("the model cannot be loaded again")
            return begin()

        monkeypatch.setattr(runner._lineup, "_begin_use", begin_but_once)
        answers = ask_all(engine, [[[5]], [[5]]], deadline_s=20)
        assert [[each.total for each in answer.results] for answer in answers] == [[10], [10]]


class TupleTask(VectorTask):
    """Its answers are tuples of what their callers may change."""

    def decode(self, items: Sequence[Any], batch: Batch, outputs: Outputs) -> list[Any]:
        return [("vector", vector) for vector in super().decode(items, batch, outputs)]


@pytest.mark.parametrize("cache_bytes", [0, 2**20])
def test_what_is_within_tuples_is_not_shared_either(cache_bytes: int) -> None:
    with serving(make_model(), TupleTask(), cache_bytes=cache_bytes) as engine:
        found = [answer.results[0][1] for _ in range(2) for answer in ask_all(engine, [[[5]], [[5]]])]
        assert not any(np.shares_memory(one, other) for index, one in enumerate(found) for other in found[:index])


def wait_until(condition: Any) -> None:
    deadline_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.001)


def ask_all(engine: Engine, requests: Sequence[Any], **options: Any) -> list[Any]:
    async def ask() -> list[Any]:
        asked = (engine.ainfer("doubling", items, **options) for items in requests)
        return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(ask())


@pytest.mark.parametrize("lanes", [1, 3])
def test_equal_rows_that_wait_or_come_while_one_is_computed_are_computed_once(lanes: int) -> None:
    model = make_model(max_concurrency=lanes)
    requests = [[[1, 2], [index], [1, 2]] for index in range(10, 30)]
    with serving(model) as engine, ThreadPoolExecutor(21) as pool:
        with held(engine, model, [[1, 2]]):
            asked = [pool.submit(engine.infer, "doubling", items, owner="held") for items in requests]
            wait_until(lambda: engine.stats("doubling").waiting_rows + sum(map(len, model.batches)) == 21)
        assert [future.result(10).results for future in asked] == [double(items) for items in requests]
        assert count_computed(model, [1, 2]) == 1
        assert engine.stats("doubling").equal_rows == 40
        assert engine.stats("doubling").rows == 21
        assert engine.infer("doubling", [[1, 2]]).results == [6]  # once they are answered, nothing is kept
    assert count_computed(model, [1, 2]) == 2


def test_texts_that_make_equal_rows_share_an_answer_unless_it_depends_on_the_text() -> None:
    for task, computed in ((RowTask(), 1), (EchoTask(), 2)):
        model = make_model()
        with serving(model, task) as engine:
            with held(engine, model, [[5]]):
                model.may_go.set()
                first, second = ask_all(engine, [["Ab", "aB", "Ab"], ["aB"]])
            totals = double(["ab", "ab", "ab"])
            expected = totals if computed == 1 else list(zip(["Ab", "aB", "Ab"], totals, strict=True))
            assert first.results == expected
            assert second.results == expected[1:2]
        assert count_computed(model, [97, 98]) == computed


@pytest.mark.parametrize("batch_invariant", [False, None])
def test_rows_of_an_artifact_that_may_depend_on_the_batch_are_all_computed(batch_invariant: bool | None) -> None:
    model = make_model(batch_invariant=batch_invariant)
    with serving(model, cache_bytes=10**6) as engine:
        for answer in ask_all(engine, [[[1, 2]]] * 3):
            assert answer.results == [6]
        stats = engine.stats("doubling")
    assert (count_computed(model, [1, 2]), stats.equal_rows, stats.cached_rows) == (3, 0, 0)


def test_owners_and_tasks_share_nothing() -> None:
    model = make_model()
    with serving(model, cache_bytes=10**6) as engine:
        for owner in ("one", "other", None, "one"):
            assert engine.infer("doubling", [[1, 2]], owner=owner).results == [6]
        assert engine.stats("doubling").cached_rows == 1
        with ThreadPoolExecutor(2) as pool, held(engine, model, [[3]]):
            asked = [pool.submit(engine.infer, "doubling", [[3]], owner=owner) for owner in ("a", "b")]
            wait_until(lambda: engine.stats("doubling").waiting_rows == 2)
            model.may_go.set()
            assert [future.result(10).results for future in asked] == [[6], [6]]
    assert count_computed(model, [1, 2]) == count_computed(model, [3]) == 3


def test_the_first_caller_may_go() -> None:
    """The callers of the row in progress, of the next one, and of an equal row may all leave."""
    model = make_model()

    async def ask(engine: Engine) -> list[Any]:
        asked = [asyncio.create_task(engine.ainfer("doubling", [[7, 7], [index]])) for index in range(6)]
        while engine.stats("doubling").waiting_rows < 7:
            await asyncio.sleep(0.001)
        for index in (0, 3):
            asked[index].cancel()
        await asyncio.sleep(0.01)
        model.may_go.set()
        return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 10)

    with serving(model) as engine, held(engine, model, [[100]]):
        answers = asyncio.run(ask(engine))
        for index, answer in enumerate(answers):
            if index in {0, 3}:
                assert isinstance(answer, asyncio.CancelledError)
            else:
                assert answer.results == [28, 2 * index]
    assert count_computed(model, [7, 7]) == 1


def test_a_row_whose_caller_goes_while_it_is_computed_is_computed_for_the_others() -> None:
    model = make_model()
    with serving(model) as engine, ThreadPoolExecutor(1) as pool:
        with held(engine, model, [[1]]):
            with pytest.raises(DeadlineExceededError):
                engine.infer("doubling", [[7, 7]], owner="held", deadline_s=0.02)
            waits = pool.submit(engine.infer, "doubling", [[7, 7]], owner="held")
            wait_until(lambda: engine.stats("doubling").waiting_rows == 1)
        assert waits.result(10).results == [28]


def test_equal_rows_that_fail_fail_one_by_one_and_with_their_own_items() -> None:
    model = make_model()
    poisoned: list[list[list[int]]] = [[[1], [POISON]], [[POISON]], [[2], [3], [POISON]]]
    with serving(model) as engine:
        with held(engine, model, [[POISON]]):
            model.may_go.set()
            errors = ask_all(engine, poisoned, owner="held")
        assert [(type(error), error.item) for error in errors] == [
            (ExecutionError, 1),
            (ExecutionError, 0),
            (ExecutionError, 2),
        ]
        assert engine.infer("doubling", [[4]]).results == [8]


def test_a_failure_that_passes_is_the_failure_of_one() -> None:
    failures = [1]

    class Once(DoublingModel):
        def _compute(self, inputs: Any) -> Any:
            computed = super()._compute(inputs)
            if (inputs["input_ids"] == 9).any() and failures.pop() if failures else 0:
                raise ValueError("once")
            return computed

    model = Once()
    model.note_invariance(True)
    with serving(model) as engine, ThreadPoolExecutor(3) as pool:
        with held(engine, model, [[9]]):
            asked = [pool.submit(engine.infer, "doubling", [[9]], owner="held") for _ in range(3)]
            wait_until(lambda: engine.stats("doubling").batches == 0 and all(future.running() for future in asked))
        assert [future.result(10).results for future in asked] == [[18]] * 3


def test_a_single_row_does_not_wait_for_the_large_request_that_has_it_too() -> None:
    model = make_model()
    with serving(model, max_batch_rows=4) as engine, ThreadPoolExecutor(2) as pool:
        with held(engine, model, [[100]]):
            large = pool.submit(engine.infer, "doubling", [[index] for index in range(64)], owner="held")
            wait_until(lambda: engine.stats("doubling").waiting_rows == 64)
            single = pool.submit(engine.infer, "doubling", [[0]], owner="held")
            wait_until(lambda: engine.stats("doubling").waiting_rows == 65)
        assert single.result(10).results == [0]
        assert large.result(10).results == [2 * index for index in range(64)]
    assert [[0] in batch for batch in model.batches].index(True) <= 3
    assert count_computed(model, [0]) == 1


def test_callers_of_equal_rows_that_go_at_random_harm_no_others() -> None:
    model = make_model(max_concurrency=2)
    model.seconds = 0.0005
    chance = random.Random(0)  # noqa: S311 - no secret

    async def ask(engine: Engine, index: int) -> None:
        items = [[chance.randrange(4)] * chance.randrange(1, 3) for _ in range(3)]
        asking = asyncio.create_task(engine.ainfer("doubling", items))
        await asyncio.sleep(chance.random() * 0.005)
        if index % 2:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        else:
            assert (await asking).results == double(items)

    async def ask_all_of_them(engine: Engine) -> None:
        await asyncio.gather(*(ask(engine, index) for index in range(300)))

    with serving(model) as engine:
        asyncio.run(asyncio.wait_for(ask_all_of_them(engine), 20))
        stats = engine.stats("doubling")
        assert (stats.waiting_rows, stats.waiting_tokens) == (0, 0)
        assert stats.equal_rows
        runner = engine._models.find("doubling", None)
        assert isinstance(runner, ModelRunner)
        queue = runner._queue
        assert not queue._equal._waiting
        assert not queue._equal._computing


def test_answers_are_kept_for_later_callers() -> None:
    model = make_model()
    with serving(model, cache_bytes=10**6) as engine:
        assert engine.infer("doubling", [[1, 2], [3]]).results == [6, 6]
        assert engine.infer("doubling", [[3], [4], [1, 2]]).results == [6, 8, 6]
        (answer,) = ask_all(engine, [[[1, 2], [3]]])
        assert answer.results == [6, 6]
        assert (answer.model, answer.artifact) == ("doubling", "numpy/function/fp32/padded")
        assert engine.stats("doubling").cached_rows == 4
        assert engine.stats("doubling").rows == 3
        engine.register(load_doubling(make_model(), RowTask(read=lambda total: total + 1)), version="2")
        assert engine.infer("doubling", [[3]]).results == [7]
    assert sum(map(len, model.batches)) == 3


def make_keyed(number: int) -> Any:
    encoding = Encoding.of(RowTask(), [[number]], SIGNATURE)
    request = Request(encoding, range(1), options=RequestOptions(), arrived_s=0.0)
    request.keys = encoding.digest(range(1), SIGNATURE.input_names)
    return "owner", None, request.keys[0] if request.keys else b""


def test_the_least_recently_used_go_first_and_those_too_large_are_not_kept() -> None:
    model = make_model()
    shift, later = Shift(0, model.metadata), Shift(1, model.metadata)
    keys = [make_keyed(number) for number in range(4)]
    answers = [np.full((2, 100), number, np.float32)[0] for number in range(4)]
    cache = AnswerCache(3 * 1000)
    for key, answer in zip(keys[:3], answers, strict=False):
        cache.keep(key, answer, shift)
    assert 0 < cache.size_bytes <= 3000
    assert cache.find(keys[0], shift) is not None
    cache.keep(keys[3], answers[3], shift)
    found = [cache.find(key, shift) is not None for key in keys]
    assert found == [True, False, True, True]
    (kept,) = cache.find(keys[3], shift) or (np.empty(0),)
    assert kept.tolist() == [3.0] * 100
    kept[:] = 7  # a caller may change its own answer
    answers[3][:] = 8
    (again,) = cache.find(keys[3], shift) or (np.empty(0),)
    assert again.tolist() == [3.0] * 100
    assert cache.find(keys[3], later) is None
    before = cache.size_bytes
    cache.keep(keys[1], np.zeros(1000, np.float32), shift)
    cache.keep(keys[0], answers[0], shift)
    assert cache.size_bytes == before
    assert cache.find(keys[1], shift) is None
