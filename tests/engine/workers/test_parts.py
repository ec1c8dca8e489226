"""The parts of the supervisor."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np
import pytest

from inferox import EngineConfig
from inferox.core import (
    DataType,
    DeadlineExceededError,
    DeviceId,
    ExecutionError,
    InferoxError,
    ModelNotFoundError,
    NoUsableBackendError,
    OutOfMemoryError,
    OverloadedError,
    RequestError,
    ShapeMismatchError,
    UnknownInputError,
    UnsupportedDTypeError,
)
from inferox.engine.answer import Answer
from inferox.engine.model_info import ModelInfo
from inferox.engine.phases import Phases
from inferox.engine.request import RequestOptions
from inferox.engine.stats import ModelStats
from inferox.engine.streaming import stream_results
from inferox.engine.workers.exposure import Exposure
from inferox.engine.workers.failures import to_error, to_message
from inferox.engine.workers.flight_record import ALL_ROWS, Flight, FlightRecord, is_in
from inferox.engine.workers.hang_limit import HangLimit
from inferox.engine.workers.launcher import Launcher
from inferox.engine.workers.pooled_request import Part, PooledRequest
from inferox.engine.workers.pooled_stats import add_up
from inferox.engine.workers.quarantine import Quarantine
from inferox.engine.workers.remote_model import RemoteModel
from inferox.engine.workers.results import to_answered
from inferox.engine.workers.sandbox import Sandbox
from inferox.engine.workers.suspects import Death, Suspect, tell_suspects
from inferox.engine.workers.waiting_parts import WaitingParts
from inferox.tasks.truncation import CutTokens

if TYPE_CHECKING:
    from inferox.engine.workers.pool import WorkerPool


@pytest.mark.parametrize(
    "error",
    [
        RequestError("no", hint="do"),
        ModelNotFoundError("none").at_item(3),
        OverloadedError("full", retry_after_s=1.5),
        DeadlineExceededError("late"),
        UnknownInputError(missing=["a"], unexpected=[], expected=["a", "b"]),
        ShapeMismatchError("input 'x'", "[batch, 2]", (1, 3)),
        UnsupportedDTypeError(DataType.BF16, "numpy", [DataType.F32, DataType.I8]),
        NoUsableBackendError("model", {"a": "lost", "b": "lost"}),
        OutOfMemoryError("much", requested_bytes=10, free_bytes=None),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_keep_everything_that_they_say(error: InferoxError) -> None:
    found = to_error(to_message(1, error))
    assert type(found) is type(error)
    assert str(found) == str(error)
    assert vars(found) == vars(error)


def test_other_errors_become_one_of_execution() -> None:
    error = KeyError("x")
    error.__cause__ = ZeroDivisionError("by 0")
    assert type(to_error(to_message(1, MemoryError()))) is OutOfMemoryError
    found = to_error(to_message(1, error))
    assert type(found) is ExecutionError
    assert found.message == "KeyError: 'x'"
    assert found.__notes__ == ["in a worker process, from ZeroDivisionError: by 0"]

    class OwnError(RequestError):
        pass

    assert type(to_error(to_message(1, OwnError("own")))) is RequestError


def test_a_record_says_what_is_in_flight(record: FlightRecord) -> None:
    assert record.read() == []
    slots = record.begin([(1, 0), (1, 5), (2**39, 7)], 0.001), record.begin([(3, ALL_ROWS)], None)
    first, second = record.read()
    assert first.rows == frozenset({(1, 0), (1, 5), (2**39, 7)})
    assert (first.limit_s, second.limit_s) == (0.001, None)
    assert is_in([first, second], 1, 5)
    assert not is_in([first, second], 1, 4)
    assert is_in([first, second], 3, 4)
    time.sleep(0.002)
    assert first.is_overdue()
    assert not second.is_overdue()
    for slot in slots:
        record.end(slot)
    assert record.read() == []
    record.begin([(1, row) for row in range(5000)], None)
    (many,) = record.read()
    assert many.rows is None  # too many to be listed: everything that the worker had
    assert is_in([many], 9, 9)


def test_a_limit_is_learned_from_what_came_to_an_end() -> None:
    limit = HangLimit(2.0)
    assert limit.find_s(1000.0) is None
    limit.learn(100.0, 0.1)
    assert limit.find_s(10.0) == 2.0
    assert limit.find_s(10_000.0) == pytest.approx(200.0)
    limit.learn(100.0, 0.01)  # what was slow once is forgotten slowly
    assert limit.find_s(10_000.0) == pytest.approx(196.0)


def test_few_requests_are_with_a_worker_after_a_death() -> None:
    exposure = Exposure()
    assert exposure.allows("model", 1000)
    exposure.note_death(["model"])
    assert exposure.allows("model", 0)
    assert not exposure.allows("model", 1)
    assert exposure.allows("other", 1000)
    found = []
    for _ in range(500):
        exposure.note_answer("model")
        exposure.note_answer("other")
        found.append(next((count for count in range(100) if not exposure.allows("model", count)), None))
    # The limit doubles every 64 answers, until there is none; before 64 answers, requests share no batch at all.
    assert set(found[:63]) == {1}
    assert [found[64 * count - 1] for count in range(1, 7)] == [2, 4, 8, 16, 32, None]
    assert found[-1] is None


def test_parts_wait_for_the_worker_that_can_take_them() -> None:
    waiting = WaitingParts(100)
    models = [SimpleNamespace(key=key) for key in ("busy", "free")]
    parts = [
        Part.of_all(PooledRequest(cast("Any", models[model]), [name], RequestOptions(priority=priority), arrived_s))
        for model, name, priority, arrived_s in (
            (0, "a", 0, 1.0),
            (1, "b", 0, 3.0),
            (1, "c", 0, 2.0),
            (1, "d", -1, 4.0),
        )
    ]
    for part in parts:
        waiting.add(part)
    taken = []
    while (found := waiting.take_first(lambda key: key == "free")) is not None:
        taken += found.items
    assert taken == ["d", "c", "b"]
    assert (waiting.count("busy"), waiting.count("free")) == ((1, 1), (0, 0))
    assert [part.items for part in waiting.take_all()] == [["a"]]
    assert not waiting


def test_quarantine_is_by_content_and_for_a_time() -> None:
    now = 0.0
    quarantine = Quarantine(lambda: now)
    quarantine.refuse("model", ["poison"])
    quarantine.add("model", "poison")
    quarantine.add("model", np.arange(3))
    with pytest.raises(RequestError, match="item 1: computing it ended a worker process recently") as caught:
        quarantine.refuse("model", ["fine", "poison"])
    assert caught.value.item == 1
    with pytest.raises(RequestError):
        quarantine.refuse("model", [np.array([0, 1, 2])])
    quarantine.refuse("other", ["poison", np.arange(3)])
    quarantine.refuse("model", ["poison ", np.arange(3, dtype=np.int32)])
    quarantine.add("model", "poison")  # which is there
    assert (quarantine.count_added("model"), quarantine.count_added("other")) == (2, 0)
    now = 10_000.0
    quarantine.refuse("model", ["poison"])
    quarantine.add("model", "poison")
    assert quarantine.count_added("model") == 3


def stats_of(**counts: Any) -> ModelStats:
    return replace(ModelStats(), **counts)


def test_what_workers_counted_is_added_up_and_what_waits_is_divided_between_them() -> None:
    counted = [
        stats_of(tokens=100, computing_s=2.0, waiting_rows=1, predicted_queue_s=0.5),
        stats_of(tokens=300, computing_s=2.0, waiting_rows=2, predicted_queue_s=1.5),
    ]
    found = add_up(counted, own=stats_of(waiting_rows=3, waiting_tokens=50, missing_workers=1, quarantined_rows=4))
    assert (found.tokens, found.computing_s, found.waiting_rows, found.waiting_tokens) == (400, 4.0, 6, 50)
    assert (found.missing_workers, found.quarantined_rows) == (1, 4)
    assert found.predicted_queue_s == pytest.approx((0.5 + 1.5 + 50 * 0.01) / 2)


@pytest.mark.parametrize(
    ("counted", "waiting_tokens"),
    [
        ([], 1),  # nobody computes it
        ([ModelStats()], 1),  # nobody has computed any
        ([ModelStats(), ModelStats(waiting_rows=1, predicted_queue_s=None)], 0),
    ],
)
def test_how_long_what_waits_takes_is_not_guessed(counted: list[ModelStats], waiting_tokens: int) -> None:
    assert add_up(counted, own=stats_of(waiting_tokens=waiting_tokens)).predicted_queue_s is None
    idle = [stats_of(predicted_queue_s=0.0) for _ in counted]
    assert add_up(idle, own=ModelStats()).predicted_queue_s == 0


def make_request(items: Any, model: Any = None) -> PooledRequest:
    return PooledRequest(model, items, RequestOptions(), 0.0)


def answer(results: Any, cut: list[CutTokens] | None = None, artifact: str = "a") -> Answer:
    return Answer(results, "model", "1", artifact, None, cut or [], tokens=len(results))


def test_parts_are_put_together_in_the_order_of_the_items() -> None:
    request = make_request(["a", "b", "c", "d"])
    part = Part.of_all(request).after_death([2, 0])
    assert (part.items, part.deaths) == (["c", "a"], 1)
    request.add([2, 0], answer(["C", "A"], [CutTokens(2), CutTokens()]))
    assert not request.is_over()
    request.add([1, 3], answer(["B", "D"], [CutTokens(1), CutTokens(3, is_least=True)]))
    found = request.future.result(0)
    assert found.results == ["A", "B", "C", "D"]
    assert [tokens.count for tokens in found.cut_tokens] == [0, 1, 2, 3]
    assert found.truncated.tolist() == [False, True, True, True]
    assert found.tokens == 4

    request = make_request(np.arange(6).reshape(3, 2))
    np.testing.assert_array_equal(Part(request, [2]).items, [[4, 5]])
    request.add([1], answer(np.full((1, 4), 1, np.float32)))
    request.add([2, 0], answer(np.array([[2] * 4, [0] * 4], np.float32)))
    np.testing.assert_array_equal(request.future.result(0).results, np.repeat(np.arange(3), 4).reshape(3, 4))


@pytest.mark.parametrize(
    ("second", "whole"), [(Phases(3, 4, 4.5, 9), Phases(1, 4, 4.5, 9)), (None, None)], ids=["known", "unknown"]
)
def test_the_phases_of_a_request_go_from_its_first_part_to_its_last(
    second: Phases | None, whole: Phases | None
) -> None:
    request = make_request(["a", "b"])
    request.add([0], replace(answer([1]), phases=Phases(1, 2, 5, 6)))
    request.add([1], replace(answer([2]), phases=second))
    assert request.future.result(0).phases == whole


def test_a_request_of_two_artifacts_is_computed_again() -> None:
    again: list[PooledRequest] = []
    request = make_request(["a", "b"], SimpleNamespace(compute_again=again.append))
    request.add([0], answer([1]))
    request.add([1], answer([2], artifact="b"))
    assert again == [request]
    assert not request.is_over()
    request.add([0, 1], answer([3, 4], artifact="b"))
    assert request.future.result(0).results == [3, 4]


def test_what_was_in_flight_is_suspected_and_in_the_end_all_of_it() -> None:
    part = Part(make_request(["a", "b", "c", "d"]), [3, 1, 0])
    assert part.divide(lambda index: index == 1) == ([1], [3, 0])
    again = part.after_death([3, 0])
    assert again.divide(lambda _: False) == ([], [3, 0])
    # Two workers that had it died, and neither had recorded that it computed it.
    assert again.after_death([3, 0]).divide(lambda _: False) == ([3, 0], [])


def test_an_error_of_a_part_names_the_item_of_the_request() -> None:
    request = make_request(["a", "b", "c"])
    Part(request, [2, 1]).fail(RequestError("no").at_item(0))
    with pytest.raises(RequestError, match="item 2: no"):
        request.future.result(0)
    request.add([0], answer([1]))  # arrives too late, and changes nothing


def test_a_request_is_answered_once() -> None:
    request = make_request(["a"])
    done: list[Future[Answer]] = []
    request.future.add_done_callback(done.append)
    request.add([0], answer([1]))
    request.fail(RequestError("late"))
    assert len(done) == 1
    assert request.future.result(0).results == [1]


def test_results_that_would_change_on_their_way_are_refused() -> None:
    assert to_answered(1, "own", answer([{"x": 1.5, "y": [np.arange(2), None]}])).results
    with pytest.raises(ExecutionError, match="the results of the task hold a tuple"):
        to_answered(1, "own", answer([(1, 2)]))


def test_what_equals_a_suspect_is_suspected() -> None:
    model = SimpleNamespace(key="model")
    first, second = make_request(["poison", "a"], model), make_request(["b", "poison"], model)
    gone = make_request(["poison"], model)
    gone.fail(RequestError("gone"))
    flights = [Flight(frozenset({(1, 0)}), 0.0, None)]
    parts = {number: Part.of_all(request) for number, request in enumerate([first, second, gone], start=1)}
    others, suspects = tell_suspects(parts, flights)
    assert [(part.request, list(part.rows)) for part in others] == [(first, [1]), (second, [0])]
    assert [(part.request, list(part.rows), part.deaths) for part in suspects] == [(first, [0], 1), (second, [1], 1)]


def test_what_cannot_be_sent_is_in_no_quarantine() -> None:
    quarantine = Quarantine()
    quarantine.add("model", object())
    quarantine.add("model", "poison")
    quarantine.refuse("model", [object(), "a\ud800", 2**70])
    with pytest.raises(RequestError, match="item 1: computing it ended a worker process recently"):
        quarantine.refuse("model", [object(), "poison"])


def make_sandbox(monkeypatch: pytest.MonkeyPatch, link: Any, quarantine: Quarantine) -> Sandbox:
    sandbox = Sandbox(Launcher(EngineConfig()), quarantine, release=lambda _: None)
    monkeypatch.setattr(sandbox, "_wait_for_link", lambda: link)
    return sandbox


def make_remote(space: str) -> tuple[RemoteModel, Future[Any]]:
    info = ModelInfo("model", "1", "sum", "a", DeviceId("cpu"), "space")
    loaded: Future[Any] = Future()
    loaded.set_result(msgspec.to_builtins(replace(info, artifact="b", embedding_space=space)))
    return RemoteModel(cast("WorkerPool", None), "package", info, {}, None), loaded


def test_the_sandbox_answers_in_no_other_space(monkeypatch: pytest.MonkeyPatch) -> None:
    model, loaded = make_remote("another")
    asked: list[Any] = []
    link = SimpleNamespace(loads={model.key: loaded}, call=asked.append)
    request = make_request(["a"], model)
    make_sandbox(monkeypatch, link, Quarantine())._try(Suspect(Part.of_all(request), Death("a worker died"), None))
    assert not asked
    with pytest.raises(ExecutionError, match="a worker loaded b, where the first had loaded a"):
        request.future.result(0)


def test_the_sandbox_dies_once_of_equal_items(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = make_remote("space")
    quarantine = Quarantine()
    quarantine.add(model.key, "poison")
    request = make_request(["a", "poison"], model)
    assert make_sandbox(monkeypatch, None, quarantine)._is_over(Part(request, [1]))
    with pytest.raises(RequestError, match="item 1: computing it ended a worker process recently"):
        request.future.result(0)


def test_a_probe_is_not_a_view_of_a_callers_array() -> None:
    model, _ = make_remote("space")
    items = np.arange(6).reshape(3, 2)
    model.note_answer(Part.of_all(make_request(items, model)))
    items[:] = 7
    np.testing.assert_array_equal(model.make_load(1).probe, [[0, 1]])


def test_a_stream_waits_where_a_worker_refuses_what_it_has_got() -> None:
    refused: set[int] = set()

    def admit(some: Any) -> Future[Answer]:
        future: Future[Answer] = Future()
        if some[0] in refused:
            future.set_result(answer([2 * item for item in some]))
        else:
            refused.add(some[0])
            future.set_exception(OverloadedError("full", retry_after_s=1e-3))
        return future

    assert list(stream_results(range(20), admit, RequestOptions(), 2)) == [2 * item for item in range(20)]
    assert len(refused) == 10
