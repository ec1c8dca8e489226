"""The choice of rows for the next batch: its properties, alone and over simulated arrivals."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferox.batching import (
    FIXED_COST,
    PACKED_COST,
    PADDED_COST,
    BatchBudget,
    Owner,
    Waiting,
    WaitingTable,
)
from inferox.batching import choose_batch as choose_from_table
from inferox.batching.policy import order_by_urgency
from inferox.core import ConfigError

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=40).map(sorted)

REQUESTS = st.lists(
    st.builds(
        Waiting,
        lengths=LENGTHS,
        group=st.sampled_from(["one", "other"]),
        priority=st.integers(-2, 2),
        owner=st.builds(Owner, tokens=st.floats(0, 100), since_s=st.floats(0, 10)),
        own_tokens=st.floats(0, 100),
        arrived_s=st.floats(0, 10),
        since_s=st.floats(0, 10),
        deadline_s=st.floats(10, 20) | st.just(math.inf),
    ),
    min_size=1,
    max_size=12,
)

FEW_NUMBERS = st.sampled_from([8.0, 8.5])

TIED_REQUESTS = st.lists(
    st.builds(
        Waiting,
        lengths=LENGTHS,
        priority=st.integers(0, 1),
        owner=st.builds(Owner, tokens=FEW_NUMBERS, since_s=st.just(9.0)),
        own_tokens=FEW_NUMBERS,
        arrived_s=FEW_NUMBERS,
        since_s=st.just(9.0),
        deadline_s=st.sampled_from([12.0, 13.0, math.inf]),
    ),
    min_size=1,
    max_size=12,
)
"""Requests of which many are equally urgent except for one thing."""

BUDGETS = st.builds(
    BatchBudget,
    tokens=st.integers(1, 2000),
    rows=st.integers(1, 64),
    is_padded=st.booleans(),
    cost=st.sampled_from([PADDED_COST, PACKED_COST, FIXED_COST]),
)


def choose_batch(requests: list[Waiting], budget: BatchBudget, *, now_s: float) -> list[tuple[int, range]]:
    """Returns the chosen rows, by the index of their request."""
    chosen = choose_from_table(WaitingTable(requests), budget, now_s=now_s)
    return [(requests.index(request), places) for request, places in chosen]


def urgency(requests: list[Waiting], index: int, now_s: float) -> tuple[float, ...]:
    """The rule by which one request goes before another."""
    highest = min(item.priority for item in requests)
    item = requests[index]
    level = max(highest, item.priority - (now_s - item.since_s) // 1)
    of_owner = item.owner.tokens - (now_s - item.owner.since_s) * 1000.0
    own = item.own_tokens - (now_s - item.since_s) * 1000.0
    return (level, of_owner, own, item.deadline_s, item.arrived_s, index)


@given(REQUESTS, BUDGETS)
def test_a_batch_keeps_the_budget_and_has_each_row_once(requests: list[Waiting], budget: BatchBudget) -> None:
    chosen = choose_batch(requests, budget, now_s=10.0)
    rows = [(index, row) for index, places in chosen for row in places]
    assert rows
    assert len(set(rows)) == len(rows)
    lengths = [requests[index].lengths[row] for index, row in rows]
    assert budget.holds(len(lengths), sum(lengths), max(lengths))
    assert len({requests[index].group for index, _ in rows}) == 1


@given(REQUESTS, BUDGETS)
def test_the_first_request_is_served_with_its_longest_row(requests: list[Waiting], budget: BatchBudget) -> None:
    first = min(range(len(requests)), key=lambda index: urgency(requests, index, 10.0))
    chosen = dict(choose_batch(requests, budget, now_s=10.0))
    assert max(requests[first].lengths) in [requests[first].lengths[row] for row in chosen[first]]


@given(REQUESTS | TIED_REQUESTS, st.integers(1, 200), st.data())
def test_the_most_urgent_are_those_of_a_sorted_list_whatever_came_and_went(
    requests: list[Waiting], rows: int, data: st.DataObject
) -> None:
    table = WaitingTable[Waiting]()
    gone = data.draw(st.sets(st.integers(0, len(requests) - 1), max_size=len(requests) - 1))
    for request in requests:
        table.add(request)
        request.own_tokens, request.owner.tokens = request.own_tokens + 1, request.owner.tokens + 2
        table.note_served(request)
        table.note_owner_served(request.owner)
    for index in gone:
        table.remove(requests[index])
    left = [request for index, request in enumerate(requests) if index not in gone]
    order = sorted(range(len(left)), key=lambda index: urgency(left, index, 10.0))
    expected = [left[index] for index in order if left[index].group == left[order[0]].group]
    found = [table[place] for place in order_by_urgency(table.columns(), rows, now_s=10.0)]
    assert found == expected[: len(found)]
    counts = [len(request.lengths) for request in found]
    assert sum(counts[:-1]) < rows
    assert sum(counts) >= rows or len(found) == len(expected)


def test_nothing_waits() -> None:
    assert choose_batch([], BatchBudget(100, 10), now_s=0.0) == []


def test_rows_alike_in_length_share_a_batch_and_others_do_not() -> None:
    requests = [Waiting([20] * 20), Waiting([200] * 3), Waiting([19, 20])]
    for budget in (BatchBudget(1024, 64), BatchBudget(1024, 64, is_padded=False, cost=PACKED_COST)):
        (first, rows), (other, others) = choose_batch(requests, budget, now_s=0.0)
        assert sorted([(first, len(rows)), (other, len(others))]) == [(0, 20), (2, 2)]


def test_few_rows_share_a_batch_though_their_lengths_differ() -> None:
    requests = [Waiting([8]), Waiting([10]), Waiting([12])]
    assert len(choose_batch(requests, BatchBudget(1024, 64), now_s=0.0)) == 3


def test_a_model_of_fixed_rows_is_filled_whatever_the_lengths() -> None:
    requests = [Waiting([1]), Waiting([100]), Waiting([10])]
    assert len(choose_batch(requests, BatchBudget(10**9, 4, cost=FIXED_COST), now_s=0.0)) == 3


@pytest.mark.parametrize(("tokens", "rows"), [(0, 1), (1, 0)])
def test_a_budget_holds_something(tokens: int, rows: int) -> None:
    with pytest.raises(ConfigError, match="a batch needs at least 1 token and 1 row"):
        BatchBudget(tokens, rows)


def test_owners_and_requests_that_had_less_come_first_and_then_deadlines() -> None:
    budget = BatchBudget(10, 1)

    def first(*requests: Waiting) -> int:
        return choose_batch(list(requests), budget, now_s=0.0)[0][0]

    assert first(Waiting([5], owner=Owner(3)), Waiting([5], owner=Owner(2), own_tokens=9)) == 1
    assert first(Waiting([5], own_tokens=3), Waiting([5], own_tokens=2, deadline_s=9)) == 1
    assert first(Waiting([5], deadline_s=3), Waiting([5], deadline_s=2)) == 1
    assert first(Waiting([5], arrived_s=-0.2), Waiting([5], arrived_s=-0.3)) == 1
    assert first(Waiting([5], priority=1), Waiting([5], owner=Owner(9))) == 1


@settings(deadline=None)
@given(st.integers(0, 3), st.integers(1, 8), st.booleans())
def test_no_request_waits_forever_behind_those_of_higher_priority(
    priority: int, batches_per_s: int, is_padded: bool
) -> None:
    """One batch of one row is computed at a time, and each time a new request of the highest priority arrives."""
    budget = BatchBudget(64, 1, is_padded)
    patient = Waiting([10], priority=priority, arrived_s=0.0)
    now_s = 0.0
    for _ in range(batches_per_s * (priority + 2)):
        new = Waiting([10], arrived_s=now_s, since_s=now_s, owner=Owner(since_s=now_s))
        index = choose_batch([new, patient], budget, now_s=now_s)[0][0]
        if index == 1:
            return
        now_s += 1 / batches_per_s
    pytest.fail(f"not computed within {now_s} s")
