"""The parts that the supervisor is made of."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from inferox.core import (
    DataType,
    DeadlineExceededError,
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
from inferox.engine.request import RequestOptions
from inferox.engine.workers.failures import to_error, to_message
from inferox.engine.workers.flight_record import ALL_ROWS, FlightRecord, is_in, make_record_file
from inferox.engine.workers.hang_limit import HangLimit
from inferox.engine.workers.pooled_request import Part, PooledRequest
from inferox.engine.workers.quarantine import Quarantine
from inferox.engine.workers.results import to_answered
from inferox.tasks.truncation import CutTokens


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
    found = to_error(to_message(1, error))
    assert type(found) is ExecutionError
    assert found.message == "KeyError: 'x'"
    assert found.__notes__ == ["in a worker process, from ZeroDivisionError: by 0"]

    class OwnError(RequestError):
        pass

    assert type(to_error(to_message(1, OwnError("own")))) is RequestError


@pytest.fixture
def record() -> Iterator[FlightRecord]:
    file = make_record_file(2)
    record = FlightRecord(file)
    os.close(file)
    yield record
    record.close()


def test_a_record_says_what_is_in_flight(record: FlightRecord) -> None:
    assert record.read() == []
    with record.note([(1, 0), (1, 5), (2**39, 7)], 0.001), record.note([(3, ALL_ROWS)], None):
        first, second = record.read()
        assert first.rows == frozenset({(1, 0), (1, 5), (2**39, 7)})
        assert (first.limit_s, second.limit_s) == (0.001, None)
        assert is_in([first, second], 1, 5)
        assert not is_in([first, second], 1, 4)
        assert is_in([first, second], 3, 4)
        time.sleep(0.002)
        assert first.is_overdue()
        assert not second.is_overdue()
    assert record.read() == []
    with record.note([(1, row) for row in range(5000)], None):
        (many,) = record.read()
        assert many.rows is None  # too many to be listed: all that the worker had
        assert is_in([many], 9, 9)


def test_a_limit_is_learned_from_what_came_to_an_end() -> None:
    limit = HangLimit(2.0)
    assert limit.find_s(1000.0) is None
    limit.learn(100.0, 0.1)
    assert limit.find_s(10.0) == 2.0
    assert limit.find_s(10_000.0) == pytest.approx(200.0)
    limit.learn(100.0, 0.01)  # what was slow once is forgotten slowly
    assert limit.find_s(10_000.0) == pytest.approx(196.0)


def test_quarantine_is_by_content_and_for_a_time() -> None:
    now = 0.0
    quarantine = Quarantine(lambda: now)
    quarantine.refuse("model", ["poison"])
    quarantine.add("model", "poison")
    quarantine.add("model", np.arange(3))
    with pytest.raises(RequestError, match="item 1: computing it ended a worker process lately") as caught:
        quarantine.refuse("model", ["fine", "poison"])
    assert caught.value.item == 1
    with pytest.raises(RequestError):
        quarantine.refuse("model", [np.array([0, 1, 2])])
    quarantine.refuse("other", ["poison", np.arange(3)])
    quarantine.refuse("model", ["poison ", np.arange(3, dtype=np.int32)])
    now = 10_000.0
    quarantine.refuse("model", ["poison"])


def make_request(items: Any, model: Any = None) -> PooledRequest:
    return PooledRequest(model, items, RequestOptions(), 0.0)


def answer(results: Any, cut: list[CutTokens] | None = None, artifact: str = "a") -> Answer:
    return Answer(results, "model", "1", artifact, None, cut or [])


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

    request = make_request(np.arange(6).reshape(3, 2))
    np.testing.assert_array_equal(Part(request, [2]).items, [[4, 5]])
    request.add([1], answer(np.full((1, 4), 1, np.float32)))
    request.add([2, 0], answer(np.array([[2] * 4, [0] * 4], np.float32)))
    np.testing.assert_array_equal(request.future.result(0).results, np.repeat(np.arange(3), 4).reshape(3, 4))


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
    # Two workers died that had it, and neither had said that it computed it.
    assert again.after_death([3, 0]).divide(lambda _: False) == ([3, 0], [])


def test_an_error_of_a_part_names_the_item_of_the_request() -> None:
    request = make_request(["a", "b", "c"])
    Part(request, [2, 1]).fail(RequestError("no").at_item(0))
    with pytest.raises(RequestError, match="item 2: no"):
        request.future.result(0)
    request.add([0], answer([1]))  # comes too late, and changes nothing


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
