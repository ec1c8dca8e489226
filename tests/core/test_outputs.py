"""The outputs of a batch, read row by row and token by token."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import (
    BATCH,
    SEQUENCE,
    Outputs,
    ShapeMismatchError,
    Signature,
    TensorSpec,
    packed_signature,
    pad_batch,
)

from .batches import IDS, TEXT, floats, make_batch

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=7)
PACKED = packed_signature(TEXT)


@given(lengths=LENGTHS, seed=st.integers(0, 99))
def test_tokens_are_the_same_in_either_layout(lengths: list[int], seed: int) -> None:
    batch = make_batch(lengths, seed)
    vectors = batch.ragged["input_ids"].astype(np.float32)[:, None] * np.array([1, 2, 3], np.float32)
    pooled = np.array([[length, -length] for length in lengths], np.float32)
    padded = pad_batch(batch, TEXT)["input_ids"].astype(np.float32)[..., None] * np.array([1, 2, 3], np.float32)

    for outputs in (
        Outputs({"vectors": padded, "pooled": pooled}, TEXT, batch),
        Outputs({"vectors": vectors, "pooled": pooled}, PACKED, batch),
    ):
        np.testing.assert_array_equal(outputs.of_tokens("vectors"), vectors)
        np.testing.assert_array_equal(outputs.of_rows("pooled"), pooled)
        assert len(outputs) == len(lengths)
        for row, own, length in zip(outputs, batch, lengths, strict=True):
            np.testing.assert_array_equal(row["vectors"][:, 1], 2 * own["input_ids"])
            assert row["pooled"].tolist() == [length, -length]


def test_outputs_are_cut_to_each_row_along_every_dim_that_counts_its_tokens() -> None:
    signature = Signature(TEXT.inputs, (floats("attention", BATCH, 2, SEQUENCE, SEQUENCE), floats("other", BATCH, 5)))
    outputs = Outputs({"attention": np.zeros((2, 2, 3, 3)), "other": np.zeros((2, 5))}, signature, make_batch([1, 3]))

    assert [row["attention"].shape for row in outputs] == [(2, 1, 1), (2, 3, 3)]
    assert [row["other"].shape for row in outputs] == [(5,), (5,)]


def test_rows_that_filled_a_batch_up_are_left_out() -> None:
    fixed = Signature((TensorSpec("input_ids", IDS.dtype, (4, SEQUENCE)),), (floats("pooled", 4),))
    outputs = Outputs({"pooled": np.arange(4)}, fixed, make_batch([1, 3]))

    assert outputs.of_rows("pooled").tolist() == [0, 1]
    assert [int(row["pooled"]) for row in outputs] == [0, 1]


@pytest.mark.parametrize(
    "change", [{"vectors": (2, 3)}, {"vectors": (1, 3, 3)}, {"vectors": (2, 2, 3)}, {"pooled": (3, 2)}]
)
def test_padded_outputs_that_do_not_cover_the_rows_are_refused(change: dict[str, Any]) -> None:
    shapes = {"vectors": (2, 3, 3), "pooled": (2, 2), **change}
    with pytest.raises(ShapeMismatchError, match=f"output '{next(iter(change))}' of a batch of 2 rows"):
        Outputs({name: np.zeros(shape) for name, shape in shapes.items()}, TEXT, make_batch([1, 3]))


def test_rows_are_counted_from_the_end_and_not_beyond_it() -> None:
    batch = make_batch([2, 3])
    vectors = np.arange(15, dtype=np.float32).reshape(5, 3)
    outputs = Outputs({"vectors": vectors, "pooled": np.zeros((2, 2))}, PACKED, batch)
    np.testing.assert_array_equal(outputs[-1]["vectors"], vectors[2:])
    np.testing.assert_array_equal(outputs[-2]["vectors"], vectors[:2])
    for index in (2, -3):
        with pytest.raises(IndexError, match=f"row {index} of a batch of 2 rows"):
            outputs[index]


def test_an_output_that_is_shorter_than_a_row_has_no_tokens() -> None:
    signature = Signature(TEXT.inputs, (floats("vectors", BATCH, "frames", 3),))
    outputs = Outputs({"vectors": np.zeros((2, 4, 3))}, signature, make_batch([6, 2]))
    with pytest.raises(ShapeMismatchError, match=r"a tensor of 2 rows must have the shape \[rows, 6, ...\]"):
        outputs.of_tokens("vectors")


@pytest.mark.parametrize(
    "change", [{"vectors": (4, 3)}, {"vectors": (6, 3)}, {"vectors": (5,)}, {"pooled": (3, 2)}, {"pooled": (2,)}]
)
def test_packed_outputs_that_do_not_cover_the_tokens_are_refused(change: dict[str, Any]) -> None:
    shapes = {"vectors": (5, 3), "pooled": (2, 2), **change}
    with pytest.raises(ShapeMismatchError, match=f"output '{next(iter(change))}' of a batch of 2 rows"):
        Outputs({name: np.zeros(shape) for name, shape in shapes.items()}, PACKED, make_batch([2, 3]))
