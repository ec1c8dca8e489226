"""Numbers from JSON, as arrays."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import DataType, DTypeMismatchError, RequestError
from inferox.tasks.number_lists import to_array


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=2)))
def test_whole_numbers_are_exact(numbers: list[list[int]]) -> None:
    array = to_array(json.loads(json.dumps(numbers)), DataType.I64, "it")

    assert array.dtype == np.int64
    assert array.tolist() == numbers


@given(st.lists(st.floats(width=32)))
def test_floating_point_numbers_come_back(numbers: list[float]) -> None:
    array = to_array(json.loads(json.dumps(numbers)), DataType.F32, "it")

    np.testing.assert_array_equal(array, np.array(numbers, dtype=np.float32))


@pytest.mark.parametrize(
    ("value", "dtype", "found"),
    [
        ([1.5], DataType.I64, "1.5"),
        ([float("nan")], DataType.I32, "nan"),
        ([float("inf")], DataType.I8, "inf"),
        ([256], DataType.U8, "256"),
        ([-1], DataType.U8, "-1"),
        ([2**63], DataType.I64, "9223372036854775808"),
        ([1e39], DataType.F32, "1e\\+39"),
        ([10**400], DataType.F64, "1000"),
        ([70000.0], DataType.F16, "70000.0"),
        ([True], DataType.I64, "True"),
        ([True], DataType.F32, "True"),
        ([1], DataType.BOOL, "1"),
        (["1"], DataType.F32, "'1'"),
        ([None], DataType.F32, "None"),
        ({"a": 1}, DataType.F32, "{'a': 1}"),
    ],
)
def test_what_a_data_type_cannot_hold_is_refused(value: Any, dtype: DataType, found: str) -> None:
    with pytest.raises(RequestError, match=f"it has {found}.*, which {dtype} cannot hold"):
        to_array(value, dtype, "it")


@pytest.mark.parametrize("dtype", [DataType.I64, DataType.U8])
def test_a_whole_number_written_with_a_point_is_whole(dtype: DataType) -> None:
    assert to_array([2.0], dtype, "it").tolist() == [2]


def test_true_and_false_are_booleans() -> None:
    assert to_array([True, False], DataType.BOOL, "it").dtype == np.bool_


@pytest.mark.parametrize("value", [[[1], [1, 2]], [1, [2]], [[1, 2], 3]])
def test_lists_of_different_lengths_are_refused(value: Any) -> None:
    with pytest.raises(RequestError, match="it must be nested lists of equal lengths"):
        to_array(value, DataType.I64, "it")


def test_lists_nested_too_deeply_are_refused() -> None:
    value: Any = 1
    for _ in range(5000):
        value = [value]

    with pytest.raises(RequestError, match="it must be nested lists"):
        to_array(value, DataType.I64, "it")


def test_an_array_is_taken_as_it_is() -> None:
    array = np.ones(3, dtype=np.float32)

    assert to_array(array, DataType.F32, "it") is array
    with pytest.raises(DTypeMismatchError, match="it must have the data type f64, but has float32"):
        to_array(array, DataType.F64, "it")
