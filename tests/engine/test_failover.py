"""Failover: an artifact that fails its own samples is taken out, and the next of its embedding space takes over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import pytest

from inferox import Engine, EngineConfig
from inferox.core import BatchLimits, ConfigError, ExecutionError, OutOfMemoryError, RequestError
from inferox.engine.lineup import Lineup
from inferox.engine.local import LocalHost
from inferox.engine.registry import ModelRegistry
from inferox.engine.suspicion import Suspicion
from inferox.engine.workers.remote_model import RemoteModel
from inferox.loading import TaskModel
from inferox.parity import ParityClass
from tests.engine.models import POISON, double, load_doubling
from tests.engine.packages import BreakableModel, Shelf

if TYPE_CHECKING:
    from inferox.engine.workers.pool import WorkerPool

LONG_S = 3600.0
"""A time that is longer than the test, after which an artifact would be tried again."""


@pytest.fixture
def engine(shelf: Shelf) -> Iterator[Engine]:
    """An engine with a package of three artifacts of one space, and one of another."""
    exact, quantized = ParityClass.EXACT, ParityClass.QUANTIZED
    shelf.put("p", {"a": exact, "b": exact, "c": exact, "q": quantized})
    with Engine(EngineConfig(retry_s=LONG_S)) as engine:
        engine.load("p", name="sum")
        yield engine


def ask(engine: Engine, items: list[list[int]]) -> str:
    """Returns the format of the artifact that computed all of a request."""
    answer = engine.infer("sum", items)
    assert answer.results == double(items)
    return answer.artifact.split("/")[1]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.002)


def test_the_next_takes_over_and_says_so(engine: Engine, shelf: Shelf) -> None:
    items = [[1, 2], [3], [4, 5, 6]]
    (before,) = engine.models()
    assert before.standby == ("doubling/b/fp32/padded", "doubling/c/fp32/padded")
    assert ask(engine, items) == "a"
    shelf.backend.broken["a"] = "raises"
    assert ask(engine, items) == "b"
    (after,) = engine.models()
    assert after.artifact == "doubling/b/fp32/padded"
    assert after.embedding_space == before.embedding_space == engine.infer("sum", items).embedding_space
    stats = engine.stats("sum")
    assert (stats.failovers, stats.failed_batches, stats.split_batches) == (1, 1, 0)
    assert shelf.backend.find("a").is_closed
    assert not shelf.backend.find("b").is_closed


def test_one_that_cannot_be_loaded_is_left_out(engine: Engine, shelf: Shelf) -> None:
    shelf.backend.broken = {"a": "raises", "b": "lost"}
    assert ask(engine, [[1]]) == "c"
    shelf.backend.broken = {"c": "raises"}
    with pytest.raises(ExecutionError, match="doubling/b/fp32/padded: b is lost"):
        ask(engine, [[1]])  # failed artifacts are tried again later
    shelf.backend.broken.clear()
    assert ask(engine, [[1]]) == "c"


def test_a_worker_that_is_started_later_takes_nothing_that_the_first_rejected(shelf: Shelf) -> None:
    shelf.put("p", ["a", "b"])
    shelf.backend.broken["a"] = "long"
    options, host = {"start": "best"}, LocalHost(EngineConfig(threads=1))
    with host.load("p", None, "1", options, ModelRegistry()) as first:
        assert first.info().artifact == "doubling/b/fp32/padded"
        later_options = RemoteModel(cast("WorkerPool", None), "p", first.info(), options, None).make_load(1).options
    shelf.backend.broken["b"] = "long"  # once it agrees on all samples, it is trusted
    with host.load("p", None, "1", later_options, ModelRegistry()) as later:
        assert later.info().artifact == "doubling/b/fp32/padded"


def test_rows_that_fail_are_to_blame_where_the_samples_pass(engine: Engine) -> None:
    with pytest.raises(ExecutionError, match=r"^item 1: .*a number is poison"):
        engine.infer("sum", [[1], [POISON], [2]])
    assert ask(engine, [[1]]) == "a"
    assert engine.stats("sum").failovers == 0


def test_no_artifact_of_another_space_takes_over(engine: Engine, shelf: Shelf) -> None:
    shelf.backend.broken = dict.fromkeys("abc", "raises")
    with pytest.raises(ExecutionError) as caught:
        engine.infer("sum", [[1], [2]])
    assert caught.value.item is None
    assert "doubling/a/fp32/padded fails its own stored samples, and none of the others" in str(caught.value)
    assert "doubling/c/fp32/padded: " in str(caught.value)
    assert {model.metadata.format for model in shelf.backend.models} == {"a", "b", "c"}
    shelf.backend.broken.clear()
    assert ask(engine, [[1]]) == "a"  # it was never given up


def test_what_was_kept_of_an_artifact_that_was_found_broken_is_forgotten(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if there is no other, so that it goes on."""
    monkeypatch.setattr(BreakableModel, "batch_invariant", True)
    shelf.put("p", ["a"])
    with Engine(EngineConfig(cache_bytes=1_000_000)) as engine:
        engine.load("p", name="sum")
        shelf.backend.broken["a"] = "wrong"
        assert [engine.infer("sum", ["a"]).results for _ in range(2)] == [[6 * 97], [6 * 97]]
        assert engine.stats("sum").cached_rows == 1
        with pytest.raises(ExecutionError, match="fails its own stored samples, and there is no other"):
            engine.infer("sum", [[POISON]])
        shelf.backend.broken.clear()
        assert engine.infer("sum", ["a"]).results == [2 * 97]


def test_the_next_is_given_what_is_left_where_an_artifact_is_found_broken_after_some_answers(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = iter((False, True))

    def confirm(suspicion: Suspicion, *_: object) -> bool:
        suspicion.is_confirmed = next(verdicts)
        return suspicion.is_confirmed

    compute = BreakableModel._compute

    def fail_one(model: BreakableModel, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        if model.metadata.format == "a" and np.isin(inputs["input_ids"], (52, 56)).any():  # one of each batch
            raise RuntimeError("it breaks")
        return compute(model, inputs)

    monkeypatch.setattr(Suspicion, "confirm", confirm)
    monkeypatch.setattr(BreakableModel, "_compute", fail_one)
    shelf.put("p", ["a", "b"])
    items = [[number] for number in range(51, 59)]
    with Engine(EngineConfig(max_batch_rows=4, threads=1)) as engine:
        engine.load("p", name="sum")
        answer = engine.infer("sum", items, deadline_s=20)
    assert (answer.results, answer.artifact) == (double(items), "doubling/b/fp32/padded")
    computed = [batch for batch in shelf.backend.find("b").batches if batch[0][0] > 50]  # the others are samples
    assert len(computed[0]) == 3
    assert sorted(row for batch in computed for row in batch) == items  # each once


def test_a_model_is_not_evicted_while_an_artifact_takes_over(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    install, was_evicted = Lineup._install, list[bool]()

    def evict_and_install(lineup: Lineup, loaded: TaskModel) -> None:
        was_evicted.append(lineup.evict())
        install(lineup, loaded)

    monkeypatch.setattr(Lineup, "_install", evict_and_install)
    shelf.put("p", ["a", "b"])
    with Engine(EngineConfig(retry_s=0.005)) as engine:
        engine.load("p", name="sum")
        shelf.backend.broken["a"] = "wrong"
        assert ask_until_it_fails(engine, shelf) == "b"
        shelf.backend.broken.clear()
        wait_until(lambda: engine.models()[0].artifact == "doubling/a/fp32/padded")
        assert ask(engine, [[1]]) == "a"
        assert engine.stats("sum").evictions == 0
    assert was_evicted == [False, False]


def test_an_artifact_that_passes_again_returns(shelf: Shelf) -> None:
    shelf.put("p", ["a", "b"])
    with Engine(EngineConfig(retry_s=0.005)) as engine:
        engine.load("p", name="sum")
        shelf.backend.broken["a"] = "wrong"
        assert ask_until_it_fails(engine, shelf) == "b"
        wait_until(lambda: sum(model.metadata.format == "a" for model in shelf.backend.models) > 2)
        assert ask(engine, [[1]]) == "b"  # it still fails
        shelf.backend.broken.clear()
        wait_until(lambda: engine.models()[0].artifact == "doubling/a/fp32/padded")
        assert ask(engine, [[1]]) == "a"
        wait_until(lambda: shelf.backend.find("b").is_closed)
        assert engine.stats("sum").failovers == 1


def ask_until_it_fails(engine: Engine, shelf: Shelf) -> str:
    """An artifact that computes something wrong is found out when a batch fails, whoever is to blame for that."""
    with pytest.raises(ExecutionError, match=r"^item 0: .*a number is poison"):
        engine.infer("sum", [[POISON]])
    assert shelf.backend.models[0].is_closed
    return ask(engine, [[1]])


def test_one_that_cannot_take_over_at_first_is_tried_again(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.put("p", ["a", "b"])
    tries = []

    def install(self: Lineup, loaded: TaskModel) -> None:
        tries.append(loaded)
        if len(tries) == 2:
            raise MemoryError
        genuine(self, loaded)

    genuine = Lineup._install
    monkeypatch.setattr(Lineup, "_install", install)
    with Engine(EngineConfig(retry_s=0.005)) as engine:
        engine.load("p", name="sum")
        shelf.backend.broken = {"a": "raises"}
        assert ask(engine, [[1]]) == "b"
        shelf.backend.broken = {}
        wait_until(lambda: ask(engine, [[1]]) == "a")
    assert len(tries) == 3


def test_all_of_a_request_is_computed_again_by_the_next(engine: Engine, shelf: Shelf) -> None:
    """The request needs several batches, and the artifact breaks after the first two."""
    items = [[number] * 50 for number in range(60)]
    first = shelf.backend.find("a")
    compute = first._compute

    def compute_twice(inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        if len(first.batches) == 4:  # two of samples
            shelf.backend.broken["a"] = "raises"
        return compute(inputs)

    first._compute = compute_twice  # type: ignore[method-assign]
    assert ask(engine, items) == "b"
    computed = [row for batch in shelf.backend.find("b").batches[2:] for row in batch]
    assert sorted(computed) == sorted(items)


def test_what_an_artifact_computed_while_it_was_found_broken_is_computed_again(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One lane has computed something wrong when another finds out."""
    monkeypatch.setattr(BreakableModel, "lanes", 2)
    shelf.put("p", ["a", "b"])
    with Engine(EngineConfig(retry_s=LONG_S)) as engine, ThreadPoolExecutor(1) as pool:
        engine.load("p", name="sum")
        first = shelf.backend.find("a")
        compute, has_computed, may_go = first._compute, Event(), Event()

        def compute_and_wait(inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
            outputs = compute(inputs)
            if (inputs["input_ids"] == 7).all():
                has_computed.set()
                assert may_go.wait(20)
            return outputs

        first._compute = compute_and_wait  # type: ignore[method-assign]
        shelf.backend.broken["a"] = "wrong"
        asked = pool.submit(engine.infer, "sum", [[7, 7]])
        assert has_computed.wait(20)
        with pytest.raises(ExecutionError, match="a number is poison"):
            engine.infer("sum", [[POISON]])
        may_go.set()
        answer = asked.result(20)
        assert (answer.results, answer.artifact) == ([28], "doubling/b/fp32/padded")


def test_the_next_gets_no_larger_batches_than_it_takes(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def limits(model: BreakableModel) -> BatchLimits:
        return BatchLimits(1 if model.metadata.format == "b" else None)

    monkeypatch.setattr(BreakableModel, "limits", property(limits))
    shelf.put("p", ["a", "b"])
    with Engine() as engine:
        engine.load("p", name="sum")
        shelf.backend.broken["a"] = "raises"
        items = [[1, 2], [3, 4], [5, 6]]
        assert ask(engine, items) == "b"
    assert shelf.backend.find("b").batches[2:] == [[item] for item in items]


def test_no_request_is_of_two_artifacts_under_load(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two lanes; an artifact breaks and recovers again and again; the numbers show which artifact computed them."""
    monkeypatch.setattr(BreakableModel, "lanes", 2)
    shelf.put("p", ["a", "b"])
    shelf.backend.marks = {"a": 1, "b": 2}
    config = EngineConfig(retry_s=0.002, max_batch_tokens=64)
    with Engine(config) as engine, ThreadPoolExecutor(8) as pool:
        engine.load("p", name="sum")

        def ask_for(first: int) -> str:
            items = [[number] * 8 for number in range(100 + first, 120 + first)]
            answer = engine.infer("sum", items)
            computed_by = answer.artifact.split("/")[1]
            mark = shelf.backend.marks[computed_by]
            assert answer.results == [8 * (2 * item[0] + mark) for item in items]
            return computed_by

        seen = set()
        for index in range(30):
            asked = [pool.submit(ask_for, first) for first in range(10)]
            if index % 3 == 0:
                shelf.backend.broken["a"] = "raises"
            wait_until(asked[3].done)
            shelf.backend.broken.clear()
            seen |= {future.result(20) for future in asked}
        assert seen == {"a", "b"}
        assert engine.stats("sum").failovers > 1


def test_an_artifact_is_not_checked_for_every_row_that_fails() -> None:
    """A check takes a second, and the next one waits for four."""
    now_s, checks = [100.0], []

    def check(_: object) -> None:
        checks.append(now_s[0])
        now_s[0] += 1

    suspicion = Suspicion(check, clock=lambda: now_s[0])
    for _ in range(10):
        assert not suspicion.confirm(ValueError(), load_doubling())
        now_s[0] += 1
    assert checks == [100, 105, 110]


@pytest.mark.parametrize("short", [OutOfMemoryError("", requested_bytes=None, free_bytes=None), MemoryError()])
def test_an_artifact_is_not_to_blame_where_memory_is_short_or_a_row_does_not_fit(short: Exception) -> None:

    def check(_: object) -> None:
        raise short

    suspicion = Suspicion(check)
    assert not suspicion.confirm(ValueError(), load_doubling())
    suspicion = Suspicion(lambda _: pytest.fail("it is not suspected"))
    assert not suspicion.confirm(short, load_doubling())
    assert not suspicion.confirm(RequestError("a row is too long"), load_doubling())


@pytest.mark.parametrize("retry_s", [0, -1.0, float("nan"), float("inf"), "1", None])
def test_times_that_are_wrong(retry_s: Any) -> None:
    with pytest.raises(ConfigError, match="retry_s must be a positive number of seconds"):
        EngineConfig(retry_s=retry_s)
