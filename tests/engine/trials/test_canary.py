"""Canaries that fail, drift, and are given up, and shadows for which there is no time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from inferox import Engine, EngineConfig
from inferox.core import ConfigError, DeadlineExceededError, ExecutionError, RequestError, ShuttingDownError
from inferox.engine import Answer, Canary, Shadow
from inferox.engine.request import RequestOptions
from inferox.engine.trials.canary_trial import CanaryTrial
from inferox.engine.trials.comparer import MOST_ROWS, MOST_WAITING, Answered, Comparer
from inferox.engine.trials.stats import TrialInfo, TrialRecorder
from inferox.engine.trials.verdict import LEAST, Verdict
from inferox.parity import ParityClass
from tests.engine.models import POISON, double
from tests.engine.packages import Shelf
from tests.engine.thread_limit import no_more_threads
from tests.engine.trials.test_trials import trial_of
from tests.engine.workers.test_workers import wait_until

ALL = Canary(backend="onnxruntime", share=1.0)


@pytest.fixture
def loading(shelf: Shelf) -> Iterator[Engine]:
    """An engine for a package of two artifacts of one space, and one of another."""
    exact, quantized = ParityClass.EXACT, ParityClass.QUANTIZED
    shelf.put("p", {"a": exact, "b": exact, "q": quantized}, backends={"b": "onnxruntime", "q": "openvino"})
    with Engine(EngineConfig(retry_s=3600.0)) as engine:
        yield engine


def load(engine: Engine, **tried: Any) -> None:
    engine.load("p", name="model", backend="doubling", **tried)


def format_of(answer: Answer) -> str:
    return answer.artifact.split("/")[1]


def ask(engine: Engine, *items: list[int]) -> str:
    """Returns the format of the artifact that answers, and checks the answer."""
    answer = engine.infer("model", list(items))
    assert answer.results == double(items)
    return format_of(answer)


def test_a_request_that_a_canary_fails_is_answered_and_it_is_rolled_back(
    loading: Engine, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    load(loading, canary=ALL)
    assert [ask(loading, [number]) for number in range(4)] == ["b"] * 4
    shelf.backend.broken["b"] = "raises"
    with caplog.at_level(logging.ERROR, "inferox.engine.trials"):
        assert ask(loading, [1], [2, 3]) == "a"  # the fifth: one in five is more than may fail
        assert ask(loading, [4]) == "a"
    wait_until(lambda: shelf.backend.find("b").is_closed)  # its memory is free
    found = trial_of(loading, "canary")
    assert (found.requests, found.errors) == (4, 1)
    assert found.info.rolled_back == "1 of its last 5 requests failed, but a share of 0.05 is allowed"
    assert loading.models()[0].trials[0].rolled_back == found.info.rolled_back
    assert [record.getMessage() for record in caplog.records if "rolled back" in record.getMessage()] == [
        f"model: the canary onnxruntime/b/fp32/padded is rolled back: {found.info.rolled_back}"
    ]


def test_a_canary_fails_for_coroutines_as_well(loading: Engine, shelf: Shelf) -> None:
    load(loading, canary=ALL)
    shelf.backend.broken["b"] = "raises"

    async def ask_some() -> list[Answer]:
        return await asyncio.gather(*(loading.ainfer("model", [[number]]) for number in range(3)))

    answers = asyncio.run(ask_some())
    assert [answer.results for answer in answers] == [[0], [2], [4]]
    assert {format_of(answer) for answer in answers} == {"a"}
    assert trial_of(loading, "canary").errors == 3


def test_a_canary_that_drifts_is_rolled_back(loading: Engine, shelf: Shelf) -> None:
    shelf.backend.marks["b"] = 500  # what it adds to numbers that are in no sample
    load(loading, canary=ALL)
    for _ in range(20):
        assert ask(loading, [1, 2]) == "b"
    wait_until(lambda: trial_of(loading, "canary").compared >= 10)
    assert trial_of(loading, "canary").max_abs == 0
    wait_until(lambda: format_of(loading.infer("model", [[100, 200]])) == "a")
    assert ask(loading, [100, 200]) == "a"
    found = trial_of(loading, "canary")
    assert found.max_abs == 1000
    assert "drift by" in (found.info.rolled_back or "")


@pytest.mark.parametrize("kind", [Shadow, Canary])
def test_what_callers_do_with_their_answers_is_no_drift(loading: Engine, kind: type[Shadow | Canary]) -> None:
    load(loading, **{kind.__name__.lower(): kind(backend="onnxruntime", share=1.0)})
    for number in range(LEAST + 1):
        results = loading.infer("model", [[number], [1, 2]]).results
        assert results == [2 * number, 6]
        results[:] = [-1, -1]
    trial = kind.__name__.lower()
    wait_until(lambda: trial_of(loading, trial).compared == LEAST + 1)
    found = trial_of(loading, trial)
    assert (found.max_abs, found.info.rolled_back) == (0, None)


@pytest.mark.parametrize("is_broken", [False, True])
@pytest.mark.parametrize("kind", [Shadow, Canary])
def test_no_request_is_lost_where_no_thread_can_be_started(
    loading: Engine, shelf: Shelf, kind: type[Shadow | Canary], is_broken: bool
) -> None:
    load(loading, **{kind.__name__.lower(): kind(backend="onnxruntime", share=1.0)})
    model = loading._models.find("model", None)
    if is_broken:
        shelf.backend.broken["b"] = "raises"

    def compute() -> Any:
        return model.ask([[3]], RequestOptions(), time.monotonic(), is_patient=True).result(20).results

    with no_more_threads():
        if kind is Canary and is_broken:
            with pytest.raises(ExecutionError, match="b is broken"):
                compute()
        else:
            assert compute() == [6]
    assert compute() == [6]
    with no_more_threads():
        loading.close()
    assert all(loaded.is_closed for loaded in shelf.backend.models)


def test_what_a_caller_does_wrong_is_not_the_canarys_fault(loading: Engine) -> None:
    load(loading, canary=ALL)
    for _ in range(6):
        with pytest.raises(RequestError, match="is loud"):
            loading.infer("model", ["!"])
        with pytest.raises(ExecutionError, match="poison"):
            loading.infer("model", [[POISON]])
    with pytest.raises(RequestError, match="single"):
        loading.infer("model", "a")
    found = trial_of(loading, "canary")
    assert (found.errors, found.info.rolled_back) == (0, None)
    assert ask(loading, [1]) == "b"
    assert loading.infer("model", []).artifact == "doubling/a/fp32/padded"  # nothing is computed


def test_a_request_of_a_canary_whose_caller_goes_is_dropped(loading: Engine, shelf: Shelf) -> None:
    load(loading, canary=ALL)
    model = shelf.backend.find("b")
    model.may_go.clear()
    model.has_begun.clear()

    async def give_up() -> None:
        first = asyncio.create_task(loading.ainfer("model", [[1]]))
        await asyncio.to_thread(model.has_begun.wait, 20)
        second = asyncio.create_task(loading.ainfer("model", [[2]]))
        await asyncio.sleep(0.05)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        with pytest.raises(DeadlineExceededError):
            await loading.ainfer("model", [[3]], deadline_s=0.05)
        model.may_go.set()
        assert (await first).results == [2]

    asyncio.run(give_up())
    assert ask(loading, [4]) == "b"
    assert model.batches[-2:] == [[[1]], [[4]]]
    assert trial_of(loading, "canary").errors == 0


def test_a_canary_without_room_is_not_to_blame(shelf: Shelf) -> None:
    shelf.put("p", ["a", "b"], backends={"b": "onnxruntime"})
    with Engine(EngineConfig(max_waiting_tokens=4)) as engine, ThreadPoolExecutor() as callers:
        load(engine, canary=ALL)
        model = shelf.backend.find("b")
        model.has_begun.clear()
        model.may_go.clear()
        first = callers.submit(engine.infer, "model", [[1]])
        assert model.has_begun.wait(20)
        others = [callers.submit(engine.infer, "model", [[2, 2, 2]]) for _ in range(2)]
        serving: Any = engine._models.find("model", None)
        wait_until(lambda: serving._serving._queue._out == 1)  # the last waits for its turn on the device
        model.may_go.set()
        assert [request.result(20).results for request in (first, *others)] == [[2], [12], [12]]
        assert sorted(format_of(request.result()) for request in (first, *others)) == ["a", "b", "b"]
        assert trial_of(engine, "canary").errors == 0


def test_a_canary_that_is_closed_takes_nothing(shelf: Shelf) -> None:
    shelf.put("p", ["a"])
    with Engine() as engine:
        load(engine)
        model = engine._models.find("model", None)
        canary = CanaryTrial("model", model, model, TrialInfo("canary", "a", 1.0), Verdict(0.0, 0.0))
        assert canary.takes([1], RequestOptions())
        canary.close()
        assert not canary.takes([1], RequestOptions())


def test_a_canary_of_another_space_must_be_allowed(loading: Engine) -> None:
    with pytest.raises(ConfigError, match="both kinds of vectors would end up in one index"):
        load(loading, canary=Canary(backend="openvino", share=1.0))
    load(loading, canary=Canary(backend="openvino", share=1.0, any_space=True))
    assert ask(loading, [1]) == "q"
    assert loading.models()[0].trials[0].drift_limit == 0.02  # what its class allows


def test_a_shadow_of_another_space_is_only_compared(loading: Engine) -> None:
    load(loading, shadow=Shadow(backend="openvino", share=1.0))
    assert ask(loading, [1]) == "a"
    wait_until(lambda: trial_of(loading, "shadow").compared == 1)


def test_what_fails_in_a_shadow_is_counted_and_nobody_waits_for_it(loading: Engine, shelf: Shelf) -> None:
    load(loading, shadow=Shadow(backend="onnxruntime", share=1.0))
    shelf.backend.broken["b"] = "raises"
    assert ask(loading, [1]) == "a"
    wait_until(lambda: trial_of(loading, "shadow").errors == 1)
    shadow = shelf.backend.find("b")
    shelf.backend.broken.clear()
    shadow.may_go.clear()
    shadow.has_begun.clear()
    assert ask(loading, [2]) == "a"
    assert shadow.has_begun.wait(20)
    shadow.may_go.set()


def test_a_version_that_is_loaded_anew_has_trials_of_its_own(loading: Engine, shelf: Shelf) -> None:
    load(loading, canary=ALL)
    first = shelf.backend.find("b")
    assert ask(loading, [1]) == "b"
    load(loading, canary=ALL, version="2")
    loading.unload("model", "1")
    assert first.is_closed
    assert ask(loading, [1]) == "b"
    assert loading.infer("model", [[1]]).version == "2"
    wait_until(lambda: trial_of(loading, "canary").compared == 2)
    with pytest.raises(ConfigError, match="already has the version '2'"):
        load(loading, canary=ALL, version="2")
    assert ask(loading, [1]) == "b"  # the loaded artifact goes on
    assert sum(not model.is_closed for model in shelf.backend.models) == 2


def test_a_stream_and_a_session_are_answered_by_a_canary(loading: Engine) -> None:
    load(loading, canary=Canary(backend="onnxruntime", share=0.5), shadow=Shadow(backend="openvino", share=0.5))
    items = [[number] for number in range(40)]
    for _ in range(8):
        assert list(loading.stream("model", items, chunk=10)) == double(items)
    found = trial_of(loading, "canary")
    assert found.requests % 4 == 0  # each stream uses one artifact
    with loading.session("model", None) as session:
        answers = [session.infer([[number]]) for number in range(4)]
        assert {format_of(answer) for answer in answers} == {"a", "b"}
        loading.unload("model")
        with pytest.raises(ShuttingDownError):
            session.infer([[1]])


class Uncopied(list[int]):
    """An item that refuses to be copied, as views and generators do."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Uncopied:
        raise TypeError("cannot be copied")


def test_what_cannot_be_copied_is_answered_and_not_compared(loading: Engine) -> None:
    load(loading, canary=Canary(backend="onnxruntime", share=0.5), shadow=Shadow(backend="openvino", share=1.0))
    answers = [loading.infer("model", [Uncopied([1])]) for _ in range(4)]
    assert [answer.results for answer in answers] == [[2]] * 4
    assert sorted(map(format_of, answers)) == ["a", "a", "b", "b"]
    assert {ask(loading, [1]), ask(loading, [1])} == {"a", "b"}
    wait_until(lambda: trial_of(loading, "shadow").compared == trial_of(loading, "canary").compared == 1)
    assert (trial_of(loading, "canary").requests, trial_of(loading, "canary").errors) == (3, 0)


def make_comparer(future: Future[Answer] | Exception) -> tuple[Comparer, TrialRecorder, list[int]]:
    """Makes a comparer whose second answer arrives later, with its recorder and the numbers of items it computes."""
    recorder, asked = TrialRecorder(TrialInfo("shadow", "b", 1.0)), list[int]()

    def compute(items: Any, options: RequestOptions) -> Future[Answer]:
        asked.append(len(items))
        assert options.priority > 0
        if isinstance(future, Exception):
            raise future
        return future

    return Comparer("test", recorder, compute, is_shadow=True, note_drift=lambda _: None), recorder, asked


def make_answer(results: Any, **others: Any) -> Answer:
    return Answer(results, "model", "1", "a", None, **others)


def test_too_many_are_left_out_and_closing_waits_for_none() -> None:
    comparer, recorder, asked = make_comparer(Future())
    answered = Answered([[1]], RequestOptions(), make_answer([2]))
    comparer.consider(answered)
    wait_until(lambda: asked == [1])
    for _ in range(MOST_WAITING + 3):
        comparer.consider(answered)
    assert recorder.stats.queue_full == 3
    comparer.close()
    comparer.close()
    comparer.consider(answered)
    assert (asked, recorder.stats.compared, recorder.stats.late) == ([1], 0, 0)


def test_what_came_to_a_busy_engine_is_left_out() -> None:
    comparer, recorder, asked = make_comparer(Future())
    comparer.consider(Answered([[1]], RequestOptions(), make_answer([2], queue_s=1.0, compute_s=0.5)))
    assert (recorder.stats.busy, asked) == (1, [])
    comparer.close()


def test_what_is_refused_is_counted_as_late_and_a_large_request_is_compared_in_part() -> None:
    for error, count in ((DeadlineExceededError("too late"), "late"), (ExecutionError("broken"), "errors")):
        comparer, recorder, _ = make_comparer(error)
        comparer.consider(Answered([[1]], RequestOptions(priority=2**31 - 1), make_answer([2])))
        wait_until(lambda: getattr(recorder.stats, count) == 1)  # noqa: B023 - it is called at once
        comparer.close()
    future = Future[Answer]()
    future.set_result(make_answer([2] * MOST_ROWS))
    comparer, recorder, _ = make_comparer(future)
    comparer.consider(Answered([[1]] * MOST_ROWS, RequestOptions(), make_answer([2] * 100)))
    wait_until(lambda: recorder.stats.compared_rows == MOST_ROWS)
    comparer.close()


@pytest.mark.parametrize("any_space", [False, True])
def test_streams_and_sessions_stay_in_one_space(loading: Engine, any_space: bool) -> None:
    load(loading, canary=Canary(backend="openvino" if any_space else "onnxruntime", share=1.0, any_space=any_space))

    def count_answers() -> int:
        return trial_of(loading, "canary").requests

    own = loading.infer("model", [[1]])
    assert format_of(own) == ("q" if any_space else "b")
    assert count_answers() == 1
    with loading.session("model", None) as session:
        answer = session.infer([[1]])
        assert format_of(answer) == ("a" if any_space else "b")
        assert format_of(asyncio.run(session.ainfer([[1]]))) == format_of(answer)
    assert (answer.embedding_space == own.embedding_space) is not any_space
    assert count_answers() == (1 if any_space else 3)
    assert list(loading.stream("model", [[1], [2]], chunk=1)) == double([[1], [2]])
    assert count_answers() == (1 if any_space else 5)
