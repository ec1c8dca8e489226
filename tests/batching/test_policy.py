"""Which rows share a batch."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.batching import plan_batches
from inferox.core import ConfigError

LENGTHS = st.lists(st.integers(0, 600), max_size=80)
LIMITS = {"max_tokens": st.integers(1, 2000), "max_rows": st.integers(1, 40)}


@given(lengths=LENGTHS, **LIMITS)
def test_every_row_is_in_exactly_one_batch(lengths: list[int], max_tokens: int, max_rows: int) -> None:
    batches = plan_batches(lengths, max_tokens=max_tokens, max_rows=max_rows)

    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))


@given(lengths=LENGTHS, **LIMITS)
def test_no_batch_exceeds_a_limit_but_a_row_that_does_so_alone(
    lengths: list[int], max_tokens: int, max_rows: int
) -> None:
    for batch in plan_batches(lengths, max_tokens=max_tokens, max_rows=max_rows):
        padded_tokens = len(batch) * max(lengths[index] for index in batch)
        assert 1 <= len(batch) <= max_rows
        assert padded_tokens <= max_tokens or len(batch) == 1


@given(lengths=LENGTHS, **LIMITS)
def test_batches_rise_in_length(lengths: list[int], max_tokens: int, max_rows: int) -> None:
    batches = plan_batches(lengths, max_tokens=max_tokens, max_rows=max_rows)

    planned = [lengths[index] for batch in batches for index in batch]
    assert planned == sorted(lengths)


@given(lengths=LENGTHS, **LIMITS)
def test_no_batch_could_have_taken_the_next_row(lengths: list[int], max_tokens: int, max_rows: int) -> None:
    batches = plan_batches(lengths, max_tokens=max_tokens, max_rows=max_rows)

    for batch, following in pairwise(batches):
        rows = len(batch) + 1
        assert rows > max_rows or rows * lengths[following[0]] > max_tokens


def test_rows_of_equal_length_keep_their_order() -> None:
    assert plan_batches([5, 2, 5, 2], max_tokens=10, max_rows=4) == [[1, 3], [0, 2]]


@pytest.mark.parametrize(("max_tokens", "max_rows"), [(0, 1), (1, 0), (-1, 8)])
def test_limits_below_one_are_refused(max_tokens: int, max_rows: int) -> None:
    with pytest.raises(ConfigError, match="at least 1 token and 1 row"):
        plan_batches([1], max_tokens=max_tokens, max_rows=max_rows)
