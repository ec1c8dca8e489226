"""The refusal of requests that cannot be answered in time, with an estimate that is known."""

from __future__ import annotations

import time

import pytest

from inferox.core import DeadlineExceededError, OverloadedError
from inferox.engine.lateness import Lateness
from inferox.engine.queue import RequestQueue
from inferox.engine.queue_entry import Part
from inferox.engine.request import Request
from inferox.engine.workload import Workload
from tests.engine.test_queue import make_request

TOKEN_S = 100.0
"""The time that a token takes, in which no test waits."""


def make_new(tokens: int, *, owner: str | None = None, deadline_s: float | None = None) -> Request:
    return make_request([[1] * tokens], time.monotonic, owner=owner, deadline_s=deadline_s)


def estimate_s(work: Workload) -> float:
    return TOKEN_S * work.tokens


@pytest.fixture
def queue() -> RequestQueue:
    return RequestQueue(max_tokens=10**9, lanes=1)


@pytest.fixture
def lateness(queue: RequestQueue) -> Lateness:
    return Lateness(queue, estimate_s, lambda: 1)


def test_a_request_waits_for_no_more_than_the_share_of_its_owner(queue: RequestQueue, lateness: Lateness) -> None:
    for _ in range(5):
        queue.add(make_new(100, owner="many"))
    lateness.refuse(make_new(1, owner="few", deadline_s=4 * TOKEN_S))  # it takes turns with one other owner
    with pytest.raises(OverloadedError, match=r"it takes 6e\+02 s, but the answer is needed within 4e\+02 s") as raised:
        lateness.refuse(make_new(1, owner="many", deadline_s=4 * TOKEN_S))
    assert raised.value.retry_after_s == pytest.approx(2 * TOKEN_S, abs=50)


def test_a_request_that_takes_too_long_may_come_again_unless_others_wait(
    queue: RequestQueue, lateness: Lateness
) -> None:
    late = make_new(10, deadline_s=4 * TOKEN_S)
    lateness.refuse(late)  # with nothing else to do, it is tried
    running = make_new(1)
    with lateness.computing([Part(running, running.rows)]):
        with pytest.raises(OverloadedError, match="with the queue and the running batches it takes"):
            lateness.refuse(late)
        queue.add(make_new(1))
        with pytest.raises(DeadlineExceededError, match="to compute, but the answer is needed within"):
            lateness.refuse(late)
