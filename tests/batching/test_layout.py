"""Rows as padded tensors, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.batching import Row, pad_rows, row_extents, split_rows
from inferox.core import BATCH, SEQUENCE, DTypeMismatchError, ShapeMismatchError, Signature, UnknownInputError

from .models import floats, ids, mask, row

SIGNATURE = Signature((ids(), mask()), (floats("vectors", BATCH, SEQUENCE, 4), floats("pooled", BATCH, 4)))
PAD_VALUES = {"ids": 9, "mask": 0}


@given(lengths=st.lists(st.integers(0, 12), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_what_is_padded_can_be_cut_apart_again(lengths: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    rows: list[Row] = [
        {
            "ids": random.integers(0, 50, length),
            "mask": np.ones(length, dtype=np.int64),
            "image": random.random((3, 2), dtype=np.float32),
            "pad_indices": random.random((length, 2, length + 1), dtype=np.float32),
        }
        for length in lengths
    ]
    image, pad_indices = floats("image", BATCH, 3, 2), floats("pad_indices", BATCH, SEQUENCE, 2, "after")
    same = Signature((ids(), mask(), image, pad_indices), (ids(), mask(), image, pad_indices))

    padded = pad_rows(rows, same, {**PAD_VALUES, "pad_indices": -1})

    assert padded["ids"].shape == (len(rows), max(lengths))
    for before, after in zip(rows, split_rows(padded, rows, same), strict=True):
        for name, array in before.items():
            np.testing.assert_array_equal(after[name], array)
            assert after[name].dtype == array.dtype


def test_rows_are_filled_at_their_ends() -> None:
    padded = pad_rows([row(1), row(3)], SIGNATURE, PAD_VALUES)

    assert padded["ids"].tolist() == [[1, 9, 9], [1, 2, 3]]
    assert padded["mask"].tolist() == [[1, 0, 0], [1, 1, 1]]


def test_what_the_signature_does_not_list_is_left_out() -> None:
    assert set(pad_rows([{**row(2), "offsets": np.zeros(2)}], SIGNATURE, PAD_VALUES)) == {"ids", "mask"}


def test_an_input_of_fixed_length_is_padded_to_it() -> None:
    fixed = Signature((ids(BATCH, 4),), ())

    assert pad_rows([row(2), row(4)], fixed, PAD_VALUES)["ids"].tolist() == [[1, 2, 9, 9], [1, 2, 3, 4]]
    with pytest.raises(ShapeMismatchError, match=r"input 'ids' of a row must have the shape \[4\], and has \[5\]"):
        pad_rows([row(5)], fixed, PAD_VALUES)


def test_an_input_without_fill_is_never_padded() -> None:
    with pytest.raises(ShapeMismatchError, match=r"input 'ids' of a row .* and has \[1\]"):
        pad_rows([row(1), row(3)], SIGNATURE, {"mask": 0})


def test_a_fixed_number_of_rows_is_kept() -> None:
    fixed = Signature((ids(2, SEQUENCE),), ())

    assert pad_rows([row(1), row(1)], fixed, PAD_VALUES)["ids"].shape == (2, 1)
    with pytest.raises(ShapeMismatchError, match=r"input 'ids' must have the shape \[2, seq\], and has \[1, 3\]"):
        pad_rows([row(3)], fixed, PAD_VALUES)


def test_no_rows_are_refused() -> None:
    with pytest.raises(ShapeMismatchError, match="a batch must have the shape"):
        pad_rows([], SIGNATURE, PAD_VALUES)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"ids": np.zeros(2, dtype=np.int64)}, UnknownInputError, "missing mask"),
        ({**row(2), "ids": np.zeros(2, dtype=np.int32)}, DTypeMismatchError, "data type i64, and has i32"),
        ({**row(2), "ids": np.zeros((1, 2), dtype=np.int64)}, ShapeMismatchError, r"shape \[seq\], and has \[1, 2\]"),
        ({**row(2), "mask": np.zeros(3, dtype=np.int64)}, ShapeMismatchError, "seq is 2 in another input"),
    ],
)
def test_rows_that_do_not_fit_the_signature_are_refused(bad: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pad_rows([row(2), bad], SIGNATURE, PAD_VALUES)


def test_row_extents_name_every_dim_but_the_batch() -> None:
    assert row_extents(row(7), SIGNATURE) == {SEQUENCE: 7}


def test_outputs_are_cut_to_each_row() -> None:
    outputs = {
        "vectors": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "pooled": np.ones((2, 4), dtype=np.float32),
    }

    first, second = split_rows(outputs, [row(1), row(3)], SIGNATURE)

    np.testing.assert_array_equal(first["vectors"], outputs["vectors"][0, :1])
    np.testing.assert_array_equal(second["vectors"], outputs["vectors"][1])
    assert first["pooled"].shape == (4,)


@pytest.mark.parametrize("shape", [(1, 3, 4), (2, 3), (2, 2, 4)])
def test_outputs_that_do_not_cover_the_rows_are_refused(shape: tuple[int, ...]) -> None:
    outputs = {"vectors": np.zeros(shape, dtype=np.float32), "pooled": np.zeros((2, 4), dtype=np.float32)}

    with pytest.raises(ShapeMismatchError, match="output 'vectors' of"):
        split_rows(outputs, [row(1), row(3)], SIGNATURE)
