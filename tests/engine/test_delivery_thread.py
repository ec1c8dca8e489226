"""Answers are delivered while the next batch is computed, so that slow callers keep no model idle."""

from __future__ import annotations

import time
from concurrent.futures import Future
from threading import Event, current_thread, main_thread
from typing import Any

import pytest

from inferox import Engine
from inferox.batching import BatchBudget
from inferox.engine.delivery_thread import DeliveryThread
from inferox.engine.encoding import Encoding
from inferox.engine.queue import RequestQueue
from inferox.engine.request import Request, RequestOptions
from inferox.engine.runner import ModelRunner
from tests.engine.models import SIGNATURE, DoublingModel, SumTask, double, load_doubling
from tests.engine.test_queue import Clock, make_request

BUDGET = BatchBudget(100, 2)


def ask(engine: Engine, item: list[int], **options: Any) -> Future[Any]:
    runner = engine._models.find("doubling", None)
    assert isinstance(runner, ModelRunner)
    return runner.ask([item], RequestOptions(**options), time.monotonic())


def test_the_next_batch_is_computed_while_the_answers_of_one_are_delivered(
    engine: Engine, model: DoublingModel
) -> None:
    model.may_go.clear()
    first, delivers, may_end = ask(engine, [1]), Event(), Event()

    def hold_up(_: Future[Any]) -> None:
        delivers.set()
        assert may_end.wait(20)

    first.add_done_callback(hold_up)
    assert model.has_begun.wait(20)
    second = ask(engine, [2])
    model.may_go.set()
    try:
        assert delivers.wait(20)
        assert second.result(20).results == [4]  # although a caller that waits for the first one holds up the delivery
    finally:
        may_end.set()
    assert first.result(20).results == [2]


def test_a_lone_answer_is_delivered_by_its_lane(engine: Engine) -> None:
    names: list[str] = []
    ask(engine, [1]).add_done_callback(lambda _: names.append(current_thread().name))
    assert ask(engine, [2]).result(20).results == [4]
    assert names != ["inferox-doubling-delivery"]


def test_closing_waits_for_what_is_being_delivered(model: DoublingModel) -> None:
    with Engine() as engine:
        engine.register(load_doubling(model))
        model.may_go.clear()
        items = [[number] for number in range(1, 40)]
        futures = [ask(engine, item) for item in items]
        ended: list[int] = []

        def note_slowly(_: Future[Any]) -> None:
            time.sleep(0.002)
            ended.append(1)

        for future in futures:
            future.add_done_callback(note_slowly)
        model.may_go.set()
    assert len(ended) == len(items)
    assert [future.result(0).results[0] for future in futures] == double(items)


def test_batches_do_not_pile_up_behind_one_that_is_being_delivered() -> None:
    thread, may_end, done = DeliveryThread("delivery"), Event(), list[bool]()

    def deliver() -> None:
        assert may_end.wait(20)
        done.append(current_thread() is not main_thread())

    assert thread.give(deliver)
    assert not thread.give(deliver)
    may_end.set()
    thread.close()
    assert done == [True]


def test_a_delivery_that_fails_does_not_end_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    thread, done = DeliveryThread("delivery"), Event()

    def fail() -> None:
        raise ValueError("no")

    assert thread.give(fail)
    while not thread.give(done.set):
        time.sleep(0.001)
    assert done.wait(20)
    thread.close()
    assert "interrupted" in caplog.text


@pytest.mark.parametrize("has_keys", [False, True])
def test_a_lane_that_is_released_takes_the_next_batch_and_rows_that_come_back_wait_again(has_keys: bool) -> None:
    clock = Clock()
    queue = RequestQueue(max_tokens=1000, lanes=1, clock=clock)
    first, second = make_request([[1], [2]], clock), make_request([[3]], clock)
    for request in (first, second):
        request.keys = [bytes([row, id(request) % 256]) for row in request.rows] if has_keys else None
        queue.add(request)
    parts = queue.take(lambda: BUDGET)
    assert parts is not None
    assert [(part.request, list(part.rows)) for part in parts] == [(first, [0, 1])]
    queue.release_lane()
    following = queue.take(lambda: BUDGET)
    assert following is not None
    assert [part.request for part in following] == [second]
    queue.end_batch(parts, [(first, 1)], has_lane=False)
    assert queue.count_waiting().rows == 1
    queue.end_batch(following)
    again = queue.take(lambda: BUDGET)
    assert again is not None
    assert [(part.request, list(part.rows)) for part in again] == [(first, [1])]
    queue.end_batch(again)
    queue.close()
    assert queue.take(lambda: BUDGET) is None


def test_a_batch_that_ends_leaves_alone_what_waits_for_an_equal_row_of_the_next() -> None:
    clock = Clock()
    queue = RequestQueue(max_tokens=1000, lanes=1, clock=clock)
    encoding = Encoding.of(SumTask(), [[1]], SIGNATURE)
    requests = [Request(encoding, range(1), options=RequestOptions(), arrived_s=clock()) for _ in range(3)]
    batches = []
    for request in requests:
        request.keys = [b"equal"]
    for request in requests[:2]:
        queue.add(request)
        batches.append(queue.take(lambda: BUDGET))
        queue.release_lane()
        if request is requests[0]:
            assert queue.end_row(request, 0) == []  # it is answered, but other rows of its batch are not yet
    queue.add(requests[2])
    assert batches[0] is not None
    queue.end_batch(batches[0], has_lane=False)
    assert queue.count_waiting().rows == 0
    assert queue.end_row(requests[1], 0) == [(requests[2], 0)]
