"""The rows that the queue hands out, over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferox.batching import PACKED_COST, BatchBudget
from inferox.engine.encoding import Encoding
from inferox.engine.owners import _MOST_OWNERS
from inferox.engine.queue import RequestQueue
from inferox.engine.request import Request, RequestOptions
from inferox.engine.workload import Workload
from tests.engine.models import SIGNATURE, SumTask


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def make_request(items: list[list[int]], clock: Callable[[], float], **options: object) -> Request:
    encoding = Encoding.of(SumTask(), items, SIGNATURE)
    return Request(encoding, range(len(items)), options=RequestOptions(**options), arrived_s=clock())  # type: ignore[arg-type]


def serve(queue: RequestQueue, budget: BatchBudget, clock: Clock) -> list[tuple[Request, int]]:
    """Takes one batch, and lets a little time pass."""
    parts = queue.take(lambda: budget) or []
    queue.end_batch()
    clock.now_s += 0.01
    return [(part.request, row) for part in parts for row in part.rows]


def test_owners_share_equally_however_many_requests_each_makes() -> None:
    clock = Clock()
    queue = RequestQueue(max_tokens=10**9, lanes=1, clock=clock)
    for _ in range(300):
        queue.add(make_request([[1] * 10], clock, owner="many"))
    for _ in range(3):
        queue.add(make_request([[1] * 10] * 20, clock, owner="few"))
    served: Counter[str | None] = Counter()
    for _ in range(80):
        served.update(request.options.owner for request, _ in serve(queue, BatchBudget(10, 1), clock))
    assert abs(served["many"] - served["few"]) <= 2


def test_who_comes_new_does_not_push_those_aside_who_were_served() -> None:
    """Small requests arrive without end, as fast as one is computed; the large one still ends."""
    clock = Clock()
    queue = RequestQueue(max_tokens=10**9, lanes=1, clock=clock)
    large = make_request([[1] * 10] * 40, clock)
    queue.add(large)
    for _ in range(1000):
        queue.add(make_request([[1] * 10], clock))
        serve(queue, BatchBudget(10, 1), clock)
        if not large.waiting_work.rows:
            return
    raise AssertionError(f"{large.waiting_work.rows} rows still wait")


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=30), min_size=1, max_size=20),
    st.integers(1, 300),
    st.integers(1, 12),
)
def test_every_row_is_handed_out_once(requests: list[list[int]], tokens: int, rows: int) -> None:
    clock = Clock()
    queue = RequestQueue(max_tokens=10**9, lanes=1, clock=clock)
    made = [make_request([[1] * length for length in lengths], clock, owner=str(len(lengths))) for lengths in requests]
    for request in made:
        queue.add(request)
    assert queue.count_waiting() == Workload.of_lengths(length for lengths in requests for length in lengths)
    queue.close()
    handed_out: list[tuple[Request, int]] = []
    while batch := serve(queue, BatchBudget(tokens, rows), clock):
        handed_out += batch
    assert sorted((made.index(request), row) for request, row in handed_out) == [
        (index, row) for index, lengths in enumerate(requests) for row in range(len(lengths))
    ]
    assert queue.count_waiting() == Workload()


def test_callers_that_have_gone_do_not_count() -> None:
    clock = Clock()
    queue = RequestQueue(max_tokens=100, lanes=1, clock=clock)
    gone = make_request([[1] * 90], clock)
    queue.add(gone)
    gone.future.cancel()
    queue.add(make_request([[1] * 90], clock))
    assert queue.count_waiting() == Workload(1, 90, 90**2)


def test_owners_for_whom_nothing_waits_are_forgotten_in_time() -> None:
    clock = Clock()
    queue = RequestQueue(max_tokens=10**9, lanes=1, clock=clock)
    queue.add(make_request([[1]] * 3 * _MOST_OWNERS, clock, owner="always there", priority=10**6))
    for index in range(2 * _MOST_OWNERS):
        queue.add(make_request([[1]], clock, owner=str(index)))
        serve(queue, BatchBudget(1, 1), clock)
    assert len(queue._owners) <= _MOST_OWNERS + 1
    assert queue._owners["always there"].tokens == 0


def test_a_queue_that_is_idle_starts_afresh() -> None:
    clock = Clock()
    queue = RequestQueue(max_tokens=10**9, lanes=1, clock=clock)
    queue.add(make_request([[1] * 50], clock, owner="first"))
    serve(queue, BatchBudget(100, 1), clock)
    queue.add(make_request([[1]], clock, owner="second"))
    assert list(queue._owners) == ["second"]


def count_batches_until(
    queue: RequestQueue, request: Request, budget: BatchBudget, clock: Clock, seconds: float
) -> int:
    """Counts the batches that are computed before any of a request is."""
    for count in range(1000):
        parts = queue.take(lambda: budget) or []
        queue.end_batch()
        clock.now_s += seconds
        if any(part.request is request for part in parts):
            return count
    raise AssertionError("it waits for ever")


def test_a_single_row_waits_for_one_batch_at_most_however_long_a_large_request_waits() -> None:
    clock = Clock()
    queue = RequestQueue(max_tokens=10**9, lanes=1, clock=clock)
    budget = BatchBudget(1024, 64)
    queue.add(make_request([[1] * 24] * 2048, clock, owner="bulk"))
    for _ in range(20):  # two seconds
        queue.take(lambda: budget)
        queue.end_batch()
        clock.now_s += 0.1
    for owner in ("bulk", "other"):
        single = make_request([[1] * 9], clock, owner=owner)
        queue.add(single)
        assert count_batches_until(queue, single, budget, clock, 0.1) <= 1


def test_a_higher_priority_goes_first_however_long_lower_ones_have_been_served() -> None:
    clock = Clock()
    queue = RequestQueue(max_tokens=10**9, lanes=1, clock=clock)
    budget = BatchBudget(1024, 64)
    queue.add(make_request([[1] * 24] * 4096, clock, priority=5))
    for _ in range(65):
        queue.take(lambda: budget)
        queue.end_batch()
        clock.now_s += 0.1
    urgent = make_request([[1] * 9], clock)
    queue.add(urgent)
    assert count_batches_until(queue, urgent, budget, clock, 0.1) <= 1


def test_the_clock_of_one_owner_is_not_that_of_another() -> None:
    clock = Clock()
    queue = RequestQueue(max_tokens=10**9, lanes=1, clock=clock)
    budget = BatchBudget(240, 10)
    queue.add(make_request([[1] * 24] * 2000, clock, owner="large"))
    for _ in range(10):
        queue.add(make_request([[1] * 24] * 200, clock, owner="many"))
    for _ in range(50):
        queue.take(lambda: budget)
        queue.end_batch()
    single = make_request([[1] * 9], clock, owner="many")
    queue.add(single)
    assert count_batches_until(queue, single, budget, clock, 0.0) <= 20  # a batch of each other request of its owner


@pytest.mark.parametrize("seed", range(3))
def test_requests_that_need_less_than_a_batch_end_one_after_the_other(seed: int) -> None:
    """More arrive than can be computed: if all of them advanced side by side, hardly any would end."""
    clock, draw = Clock(), Random(seed)  # noqa: S311 - nothing is kept secret
    queue = RequestQueue(max_tokens=10**9, lanes=1, clock=clock)
    left: Counter[Request] = Counter()
    ended_rows = served_rows = 0
    for _ in range(120):
        for _ in range(3):
            request = make_request([[1] * min(250, int(draw.lognormvariate(2.7, 1)) + 2) for _ in range(8)], clock)
            left[request] = 8
            queue.add(request)
        for request, _ in serve(queue, BatchBudget(256, 64, is_padded=False, cost=PACKED_COST), clock):
            served_rows += 1
            left[request] -= 1
            ended_rows += 8 * (not left[request])

    assert ended_rows >= 0.4 * served_rows  # 0.16 to 0.35 side by side
