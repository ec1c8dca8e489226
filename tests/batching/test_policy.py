"""The plan of which rows share a batch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.batching import FIXED_COST, PACKED_COST, PADDED_COST, BatchBudget, plan_batches

LENGTH = st.integers(0, 600) | st.just(0)
LENGTHS = st.lists(LENGTH, max_size=80)
BUDGETS = st.builds(
    BatchBudget,
    tokens=st.integers(1, 2000) | st.integers(1, 8),
    rows=st.integers(1, 40),
    is_padded=st.booleans(),
    cost=st.sampled_from([PADDED_COST, PACKED_COST, FIXED_COST]),
)


def price(batches: Sequence[Sequence[int]], lengths: Sequence[int], budget: BatchBudget) -> float:
    """Computes the total cost of batches of rows."""
    of_batches = [[lengths[index] for index in batch] for batch in batches]
    return sum(budget.cost.of_batch(len(batch), sum(batch), max(batch)) for batch in of_batches)


@given(lengths=LENGTHS, budget=BUDGETS)
def test_every_row_is_in_exactly_one_batch(lengths: list[int], budget: BatchBudget) -> None:
    batches = plan_batches(lengths, budget)

    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))


@given(lengths=LENGTHS, budget=BUDGETS)
def test_no_batch_exceeds_a_limit_but_a_row_that_does_so_alone(lengths: list[int], budget: BatchBudget) -> None:
    for batch in plan_batches(lengths, budget):
        of_batch = [lengths[index] for index in batch]
        tokens = len(batch) * max(of_batch) if budget.is_padded else sum(of_batch)
        assert 1 <= len(batch) <= budget.rows
        assert tokens <= budget.tokens or len(batch) == 1


@given(lengths=LENGTHS, budget=BUDGETS)
def test_batches_rise_in_length(lengths: list[int], budget: BatchBudget) -> None:
    batches = plan_batches(lengths, budget)

    assert [lengths[index] for batch in batches for index in batch] == sorted(lengths)


@given(lengths=st.lists(LENGTH, min_size=1, max_size=8), budget=BUDGETS)
def test_no_other_batches_cost_less(lengths: list[int], budget: BatchBudget) -> None:
    rising = sorted(lengths)
    divisions = [
        [range(*ends) for ends in pairwise((0, *cuts, len(rising)))]
        for count in range(len(rising))
        for cuts in combinations(range(1, len(rising)), count)
    ]
    allowed = [
        batches
        for batches in divisions
        if all(budget.holds(len(rows), sum(rising[i] for i in rows), rising[rows[-1]]) for rows in batches)
    ]
    least = min(price(batches, rising, budget) for batches in allowed)

    assert price(plan_batches(lengths, budget), lengths, budget) == pytest.approx(least)


@given(lengths=st.lists(LENGTH, min_size=1, max_size=40), budget=BUDGETS)
def test_what_is_best_whole_is_not_divided_for_less(lengths: list[int], budget: BatchBudget) -> None:
    whole = [list(range(len(lengths)))]
    if budget.is_best_whole(len(lengths), sum(lengths), max(lengths)):
        assert price(whole, lengths, budget) <= price(plan_batches(lengths, budget), lengths, budget) + 1e-6


def test_few_rows_of_like_lengths_are_best_whole() -> None:
    assert BatchBudget(1024, 256, is_padded=False, cost=PACKED_COST).is_best_whole(3, 30, 12)


def test_rows_of_equal_length_keep_their_order() -> None:
    assert plan_batches([5, 2, 5, 2], BatchBudget(10, 4)) == [[1, 3], [0, 2]]


def test_a_long_row_does_not_make_short_ones_wait_for_its_padding() -> None:
    lengths = [200, *[10] * 20]

    assert plan_batches(lengths, BatchBudget(10**6, 64)) == [list(range(1, 21)), [0]]
