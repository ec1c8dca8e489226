"""Requests are failed at their deadlines by a timer alone."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable

import pytest

from inferox.core import DeadlineExceededError
from inferox.engine.deadlines import _KEPT, Deadlines
from inferox.engine.encoding import Encoding
from inferox.engine.queue import RequestQueue
from inferox.engine.request import Request, RequestOptions
from inferox.engine.workload import Workload
from tests.engine.models import SIGNATURE, SumTask
from tests.engine.workers.test_workers import wait_until


def make_request(deadline_s: float) -> Request:
    encoding = Encoding.of(SumTask(), [[1]], SIGNATURE)
    return Request(encoding, range(1), options=RequestOptions(deadline_s), arrived_s=time.monotonic())


def test_each_is_failed_at_its_deadline_whatever_their_order() -> None:
    deadlines, late = Deadlines(), []
    requests = {deadline_s: make_request(deadline_s) for deadline_s in (60.0, 0.06, 0.02, 0.04)}
    for request in requests.values():
        request.future.add_done_callback(lambda _: late.append(time.monotonic()))
        deadlines.add(request)
    for deadline_s in (0.02, 0.04, 0.06):
        request = requests[deadline_s]
        with pytest.raises(DeadlineExceededError, match=f"not ready within {deadline_s} s"):
            request.future.result(20)
        assert time.monotonic() >= request.deadline_s
    assert late == sorted(late)
    assert not requests[60.0].is_over()
    deadlines.close()


def test_a_row_that_waits_for_a_long_batch_is_given_up_at_its_deadline() -> None:
    """Nobody takes a batch, and nobody waits for the answer."""
    queue = RequestQueue(max_tokens=100, lanes=1)
    request, other = make_request(0.02), make_request(60.0)
    queue.add(request)
    queue.add(other)
    assert isinstance(request.future.exception(20), DeadlineExceededError)
    assert queue.count_waiting() == Workload(1, 1, 1)
    other.future.cancel()


def test_those_that_are_answered_are_forgotten_long_before_their_deadlines() -> None:
    deadlines = Deadlines()
    for _ in range(3 * _KEPT):
        request = make_request(1000.0)
        deadlines.add(request)
        request.answer(None)
    assert len(deadlines._heap) <= _KEPT + 1
    deadlines.close()


@pytest.mark.parametrize(
    ("deadline_s", "end"),
    [
        (1000.0, lambda request: request.answer(None)),
        (1000.0, lambda request: request.fail(ValueError())),
        (1000.0, lambda request: request.future.cancel()),
        (0.01, lambda request: request.future.exception(20)),
        (0.01, lambda request: request.future.cancel()),
    ],
    ids=["answered", "failed", "cancelled", "expired", "cancelled before it expires"],
)
def test_what_is_over_is_freed_at_once(deadline_s: float, end: Callable[[Request], object]) -> None:
    deadlines = Deadlines()
    request = make_request(deadline_s)
    deadlines.add(request)
    end(request)
    freed = weakref.ref(request)
    del request
    wait_until(lambda: freed() is None)
    deadlines.close()


def test_its_thread_ends_when_it_is_closed() -> None:
    before = threading.active_count()
    deadlines = Deadlines()
    deadlines.add(make_request(1000.0))
    assert threading.active_count() == before + 1
    deadlines.close()
    assert threading.active_count() == before


def test_its_thread_goes_on_whatever_is_raised_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    deadlines, strange, other = Deadlines(), make_request(0.01), make_request(0.03)

    def fail(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(strange, "fail", fail)
    deadlines.add(strange)
    deadlines.add(other)
    assert isinstance(other.future.exception(20), DeadlineExceededError)
    deadlines.close()
