"""Who joins the next batch: properties of the choice, alone and over simulated arrivals."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferox.batching import FIXED_COST, PACKED_COST, PADDED_COST, BatchBudget, Waiting, choose_batch
from inferox.core import ConfigError

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=40)

REQUESTS = st.lists(
    st.builds(
        Waiting,
        lengths=LENGTHS,
        group=st.sampled_from(["one", "other"]),
        priority=st.integers(-2, 2),
        owner_tokens=st.floats(0, 100),
        own_tokens=st.floats(0, 100),
        arrived_s=st.floats(0, 10),
        since_s=st.floats(0, 10),
        owner_since_s=st.floats(0, 10),
        deadline_s=st.floats(10, 20) | st.just(math.inf),
    ),
    min_size=1,
    max_size=12,
)

BUDGETS = st.builds(
    BatchBudget,
    tokens=st.integers(1, 2000),
    rows=st.integers(1, 64),
    is_padded=st.booleans(),
    cost=st.sampled_from([PADDED_COST, PACKED_COST, FIXED_COST]),
)


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
    highest = min(item.priority for item in requests)

    def order(index: int) -> tuple[float, ...]:
        item = requests[index]
        level = max(highest, item.priority - (10.0 - item.since_s) // 1)
        of_owner = item.owner_tokens - (10.0 - item.owner_since_s) * 1000.0
        return (
            level,
            of_owner,
            item.own_tokens - (10.0 - item.since_s) * 1000.0,
            item.deadline_s,
            item.arrived_s,
            index,
        )

    first = min(range(len(requests)), key=order)
    chosen = dict(choose_batch(requests, budget, now_s=10.0))
    assert max(requests[first].lengths) in [requests[first].lengths[row] for row in chosen[first]]


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
        return choose_batch(requests, budget, now_s=0.0)[0][0]

    assert first(Waiting([5], owner_tokens=3), Waiting([5], owner_tokens=2, own_tokens=9)) == 1
    assert first(Waiting([5], own_tokens=3), Waiting([5], own_tokens=2, deadline_s=9)) == 1
    assert first(Waiting([5], deadline_s=3), Waiting([5], deadline_s=2)) == 1
    assert first(Waiting([5], arrived_s=-0.2), Waiting([5], arrived_s=-0.3)) == 1
    assert first(Waiting([5], priority=1), Waiting([5], owner_tokens=9)) == 1


@settings(deadline=None)
@given(st.integers(0, 3), st.integers(1, 8), st.booleans())
def test_no_request_waits_for_ever_behind_those_of_higher_priority(
    priority: int, batches_per_s: int, is_padded: bool
) -> None:
    """One batch of one row is computed at a time, and a new request of the highest priority comes with each."""
    budget = BatchBudget(64, 1, is_padded)
    patient = Waiting([10], priority=priority, arrived_s=0.0)
    now_s = 0.0
    for _ in range(batches_per_s * (priority + 2)):
        new = Waiting([10], arrived_s=now_s, since_s=now_s, owner_since_s=now_s)
        index = choose_batch([new, patient], budget, now_s=now_s)[0][0]
        if index == 1:
            return
        now_s += 1 / batches_per_s
    pytest.fail(f"not computed within {now_s} s")
