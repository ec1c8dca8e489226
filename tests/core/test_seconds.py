"""Times that callers state."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from inferox.core.seconds import LONGEST_S, read_seconds


@pytest.mark.parametrize(
    "value", [1, 0.25, LONGEST_S, 1e-9, np.float32(0.5), np.float64(2), np.int64(3), Fraction(1, 2)]
)
def test_a_time_is_read_as_a_python_float(value: Any) -> None:
    assert read_seconds(value) == value
    assert type(read_seconds(value)) is float


@pytest.mark.parametrize(
    "value",
    [
        *(0, -1, float("nan"), float("inf"), 2 * LONGEST_S, 10**400, Fraction(1, 10**400), np.float16("inf")),
        *(True, False, np.True_, np.float32("nan"), None, "1", b"1", 1j, [1.0], np.ones(1), np.ones(2)),
    ],
    ids=repr,
)
def test_what_is_not_a_time_gives_none(value: Any) -> None:
    assert read_seconds(value) is None
