"""The cost of batches, learned from any batches."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferox.engine.learned_cost import CostParts, LearnedCost
from inferox.engine.workload import Workload

SHAPE = CostParts(50, 1, 1.1, 1 / 700)
"""The cost of a packed batch, in tokens."""

PARTS = st.builds(
    CostParts,
    per_batch=st.floats(1e-4, 5e-3),
    per_row=st.floats(0, 1e-4),
    per_token=st.floats(5e-6, 1e-4),
    per_square=st.floats(0, 1e-7),
)
BATCHES = st.lists(
    st.lists(st.integers(1, 256), min_size=1, max_size=64).map(Workload.of_lengths), min_size=1, max_size=8
)


@settings(max_examples=60)
@given(PARTS, BATCHES)
def test_what_was_computed_is_priced_as_it_cost(parts: CostParts, batches: list[Workload]) -> None:
    """Whatever the batches and the parts are: those that were computed often are priced right."""
    cost = LearnedCost(SHAPE)
    for _ in range(-(-200 // len(batches))):
        for work in batches:
            cost.learn(work, parts.of(work))
    for work in batches:
        assert cost.estimate(work) == pytest.approx(parts.of(work), rel=0.25)
    assert cost.parts is not None
    assert min(cost.parts.per_batch, cost.parts.per_row, cost.parts.per_token, cost.parts.per_square) >= 0


def test_lengths_that_never_came_are_priced_by_what_was_learned() -> None:
    parts = CostParts(1e-3, 0.0, 2e-5, 4e-8)
    cost = LearnedCost(SHAPE)
    assert cost.estimate(Workload(1, 8, 64)) is None
    for rows in (1, 4, 16, 32) * 10:
        for length in (8, 32, 96):
            cost.learn(work := Workload.of_lengths([length] * rows), parts.of(work))
    for work in (Workload.of_lengths([512] * 8), Workload.of_lengths([48] * 128)):
        assert cost.estimate(work) == pytest.approx(parts.of(work), rel=0.15)
    many = Workload.of_lengths([32] * 320)
    assert cost.estimate(many, batches=10) == pytest.approx(parts.of(many, 10), rel=0.15)


def test_one_batch_tells_what_others_cost_by_their_shape() -> None:
    cost = LearnedCost(SHAPE)
    cost.learn(Workload.of_lengths([16] * 4), 0.01)
    assert cost.estimate(Workload.of_lengths([16] * 4)) == pytest.approx(0.01, rel=0.02)
    small, large = cost.estimate(Workload.of_lengths([8])), cost.estimate(Workload.of_lengths([64] * 64))
    assert small is not None
    assert large is not None
    assert small < 0.01
    assert large > 0.1


def test_a_batch_that_was_held_up_for_long_changes_little() -> None:
    """A machine may freeze for a second, but nothing computes in less time than it needs."""
    work, cost = Workload.of_lengths([16] * 4), LearnedCost(SHAPE)
    for number in range(50):
        cost.learn(work, 10.0 if number == 25 else 0.01)
    assert cost.estimate(work) == pytest.approx(0.01, rel=0.1)


def test_a_machine_that_becomes_slower_is_followed() -> None:
    work, cost = Workload.of_lengths([16] * 4), LearnedCost(SHAPE)
    for number in range(300):
        cost.learn(work, 0.01 if number < 100 else 0.03)
    assert cost.estimate(work) == pytest.approx(0.03, rel=0.1)


def test_what_was_learned_of_short_rows_alone_is_corrected_by_long_ones() -> None:
    """Short rows may suggest that attention costs nothing."""
    known, parts = CostParts(1e-3, 0.0, 2e-5, 0.0), CostParts(1e-3, 0.0, 2e-5, 4e-8)
    cost = LearnedCost(SHAPE, known)
    short, long = Workload.of_lengths([8] * 8), Workload.of_lengths([512] * 8)
    assert cost.estimate(short) == pytest.approx(known.of(short), rel=0.1)
    for _ in range(20):
        cost.learn(short, parts.of(short))
        cost.learn(long, parts.of(long))
    assert cost.estimate(long) == pytest.approx(parts.of(long), rel=0.15)
    assert cost.estimate(short) == pytest.approx(parts.of(short), rel=0.15)
