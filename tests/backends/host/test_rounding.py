"""Rounding once to narrow types, checked by exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.backends.host.rounding import round_to_odd, to_bf16_bits

BF16 = np.dtype(ml_dtypes.bfloat16)
F16 = np.dtype(np.float16)


def nearest(value: float, digits: int, least: int, greatest: int) -> float:
    """Returns the nearest number of a type, or the even one of two, by exact arithmetic.

    Args:
        value: The number.
        digits: The bits of the type's significand.
        least: The exponent of its smallest normal number.
        greatest: The exponent of its largest number.
    """
    if not math.isfinite(value) or value == 0:
        return value
    exponent = max(math.frexp(value)[1] - 1, least)
    step = Fraction(2) ** (exponent - digits + 1)
    rounded = round(Fraction(value) / step) * step
    if abs(rounded) >= Fraction(2) ** (greatest + 1):
        return math.copysign(math.inf, value)
    return math.copysign(float(rounded), value)


@given(value=st.floats(allow_nan=False) | st.floats(-4, 4) | st.floats(-1e-38, 1e-38))
def test_a_second_rounding_is_as_good_as_one(value: float) -> None:
    with np.errstate(over="ignore"):
        odd = round_to_odd(np.array([value]))
        for dtype, limits in ((BF16, (8, -126, 127)), (F16, (11, -14, 15))):
            found, expected = float(odd.astype(dtype)[0]), nearest(value, *limits)
            assert (found, math.copysign(1, found)) == (expected, math.copysign(1, expected))


@given(
    whole=st.integers(1 << 7, (1 << 8) - 1),
    exponent=st.integers(-140, 119),
    beside=st.sampled_from([-(2.0**-40), 0.0, 2.0**-40]),
    sign=st.sampled_from([-1, 1]),
)
def test_what_lies_beside_a_tie_is_none(whole: int, exponent: int, beside: float, sign: int) -> None:
    value = sign * math.ldexp(whole + 0.5 + beside, exponent)
    found = float(round_to_odd(np.array([value])).astype(BF16)[0])
    assert found == nearest(value, 8, -126, 127)
    assert float(to_bf16_bits(np.array([value])).view(BF16)[0]) == found


@given(value=st.floats(width=32))
def test_fp32_stays_as_it_is(value: float) -> None:
    found = round_to_odd(np.array(value))
    np.testing.assert_array_equal(found, np.float32(value))
    assert found.shape == ()


@pytest.mark.parametrize("value", [1e300, -1e300])
def test_what_fp32_cannot_hold_is_its_greatest(value: float) -> None:
    assert round_to_odd(np.array([value])).tolist() == [math.copysign(float(np.finfo(np.float32).max), value)]


@given(value=st.floats(allow_nan=False) | st.floats(-4, 4) | st.floats(-1e-38, 1e-38))
def test_bf16_is_the_nearest_in_one_step(value: float) -> None:
    found = float(to_bf16_bits(np.array([value])).view(BF16)[0])
    assert (found, math.copysign(1, found)) == (nearest(value, 8, -126, 127), math.copysign(1, value))


@given(bits=st.integers(1, (1 << 52) - 1), sign=st.sampled_from([0, 1]))
def test_nan_stays_nan_in_bf16(bits: int, sign: int) -> None:
    value = np.array([(sign << 63) | (0x7FF << 52) | bits], np.uint64).view(np.float64)
    found = int(to_bf16_bits(value).view(np.uint16)[0])
    assert found >> 15 == sign
    assert found & 0x7FFF > 0x7F80
