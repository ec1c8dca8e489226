"""Scales and ticks: arithmetic that holds for any numbers."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inferox.report.scales import LinearScale, LogScale, linear_scale_from_zero, log_scale, log_ticks

positive = st.floats(1e-12, 1e12)
most = st.integers(2, 12)


@given(positive, st.floats(1.05, 1e12), most)
def test_log_ticks_are_round_and_within(low: float, ratio: float, most: int) -> None:
    high = low * ratio
    ticks = log_ticks(low, high, most)
    assert len(ticks) <= most
    assert ticks == sorted(set(ticks))
    assert all(low * (1 - 1e-6) <= tick <= high * (1 + 1e-6) for tick in ticks)
    assert all(f"{tick:.6e}"[0] in "1235" and f"{tick:.6e}"[2:8] == "000000" for tick in ticks)
    if ratio >= 10:
        assert ticks


def test_ticks_that_people_expect() -> None:
    assert linear_scale_from_zero([42, 97], 6)[1] == [0, 20, 40, 60, 80, 100]
    assert linear_scale_from_zero([1040], 6)[1] == [0, 250, 500, 750, 1000, 1250]
    assert log_ticks(8, 130, 6) == [10, 20, 50, 100]
    assert log_ticks(1e-9, 1, 4) == pytest.approx([1e-9, 1e-6, 1e-3, 1])


@given(st.lists(st.floats(0, 1e12), max_size=20), st.integers(3, 12))
def test_a_scale_from_zero_holds_all(values: list[float], most: int) -> None:
    assume(not values or max(values) == 0 or max(values) > 1e-9)
    scale, ticks = linear_scale_from_zero(values, most)
    assert (ticks[0], ticks[-1]) == (0, scale.high)
    assert len(ticks) <= most
    assert all(-1e-9 <= scale.place(value) <= 1 + 1e-9 for value in values)
    for step in (after - before for before, after in pairwise(ticks)):
        leading = step / 10 ** math.floor(math.log10(step) + 1e-6)
        assert min(abs(leading - wanted) for wanted in (1, 2, 2.5, 5, 10)) < 1e-2


@given(st.lists(positive, max_size=20), most)
def test_a_logarithmic_scale_holds_all_with_room(values: list[float], most: int) -> None:
    scale, ticks = log_scale(values, most)
    assert all(0 < scale.place(value) < 1 for value in values)
    assert all(-1e-6 <= scale.place(tick) <= 1 + 1e-6 for tick in ticks)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.floats(0, 1))
def test_a_linear_scale_keeps_differences(low: float, width: float, share: float) -> None:
    scale = LinearScale(low, low + width)
    assert (scale.place(low), scale.place(low + width)) == (0, 1)
    assert scale.place(low + share * width) == pytest.approx(share, abs=1e-5)


@given(positive, st.floats(1.1, 1e6), st.floats(0, 1))
def test_a_logarithmic_scale_keeps_ratios(low: float, ratio: float, share: float) -> None:
    scale = LogScale(low, low * ratio)
    assert scale.place(low * ratio**share) == pytest.approx(share, abs=1e-6)
