"""Numbers as options."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import ConfigError, positive_integer


@given(st.integers(1, 2**63 - 1), st.sampled_from([int, np.int64, np.uint64]))
def test_a_positive_integer_becomes_one_of_python(number: int, kind: type[Any]) -> None:
    read = positive_integer("x", kind(number))
    assert (read, type(read)) == (number, int)


@pytest.mark.parametrize("value", [0, -1, np.int8(-1), True, np.True_, 8.0, "8", None, [8], np.array([8, 9])])
def test_anything_else_is_refused_by_its_name(value: Any) -> None:
    with pytest.raises(ConfigError, match="truncate_dim must be a positive integer, but is "):
        positive_integer("truncate_dim", value)


@pytest.mark.parametrize("value", [2**63, 10**400, 10**5000], ids=["one more", "400 digits", "5,000 digits"])
def test_one_that_nothing_can_count_to_is_refused(value: int) -> None:
    with pytest.raises(ConfigError, match="window may be at most 9,223,372,036,854,775,807, but is "):
        positive_integer("window", value)
