"""Ragged batches: rows in, rows out, whatever their lengths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import RaggedBatch, ShapeMismatchError


@given(st.lists(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=20), min_size=1, max_size=20))
def test_rows_come_back_as_they_went_in(rows: list[list[int]]) -> None:
    batch = RaggedBatch.from_rows([np.array(row, dtype=np.int64) for row in rows])
    assert len(batch) == len(rows)
    assert [row.tolist() for row in batch] == rows
    assert batch.lengths.tolist() == [len(row) for row in rows]
    assert batch.values.dtype == np.int64
    assert batch[-1].tolist() == rows[-1]


def test_rows_are_views() -> None:
    batch = RaggedBatch.from_rows([np.zeros((2, 3), np.float32), np.zeros((1, 3), np.float32)])
    batch[1][0, 0] = 7
    assert batch.values[2, 0] == 7


@pytest.mark.parametrize("index", [2, -3, 100])
def test_a_row_that_is_not_there(index: int) -> None:
    batch = RaggedBatch.from_rows([np.zeros(1), np.zeros(2)])
    with pytest.raises(IndexError):
        batch[index]


@pytest.mark.parametrize("offsets", [[], [0], [1, 3], [0, 2, 1, 3], [0, 4], [[0, 3]]])
def test_offsets_that_do_not_divide_the_values(offsets: list[int]) -> None:
    with pytest.raises(ShapeMismatchError, match="offsets"):
        RaggedBatch(np.zeros(3), np.array(offsets, dtype=np.int64))


def test_a_scalar_has_no_rows() -> None:
    with pytest.raises(ShapeMismatchError, match="values"):
        RaggedBatch(np.array(1.0), np.array([0], dtype=np.int64))


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [np.zeros((1, 2)), np.zeros((1, 3))],
        [np.zeros(1), np.zeros((1, 1))],
        [np.zeros(1, np.float32), np.zeros(1, np.float64)],
    ],
)
def test_rows_that_are_not_alike(rows: list[np.ndarray]) -> None:
    with pytest.raises(ShapeMismatchError):
        RaggedBatch.from_rows(rows)


@pytest.mark.parametrize("dtype", [np.uint64, np.int32, np.float64])
def test_offsets_of_another_type(dtype: type) -> None:
    with pytest.raises(ShapeMismatchError, match="int64"):
        RaggedBatch(np.arange(4), np.array([0, 3, 1, 4], dtype=dtype))
