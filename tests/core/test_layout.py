"""Batches as padded tensors, and as packed ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import (
    BATCH,
    MASK,
    SEQUENCE,
    TOKENS,
    Batch,
    DataType,
    DTypeMismatchError,
    InputTooLongError,
    RequestError,
    ShapeMismatchError,
    Signature,
    TensorSpec,
    UnknownInputError,
    can_be_packed,
    check_batch,
    pack_batch,
    packed_signature,
    pad_batch,
    padded_signature,
    read_padded,
    stack_rows,
    unpad,
)

from .batches import ATTENDED, IDS, PAD_VALUES, TEXT, TYPES, floats, make_batch

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=7)
TOKEN_WISE = Signature(TEXT.inputs, TEXT.outputs[:1])


@given(lengths=LENGTHS, seed=st.integers(0, 99))
def test_what_is_padded_can_be_read_again(lengths: list[int], seed: int) -> None:
    batch = make_batch(lengths, seed)

    padded = pad_batch(batch, TEXT)

    TEXT.check_inputs(padded)
    assert padded[MASK].sum(axis=1).tolist() == lengths
    for name, value in PAD_VALUES.items():
        np.testing.assert_array_equal(unpad(padded[name], batch.lengths), batch.ragged[name])
        assert (padded[name][padded[MASK] == 0] == value).all()
    again, found = read_padded(padded, TEXT)
    assert found.tolist() == lengths
    for name in PAD_VALUES:
        np.testing.assert_array_equal(again.ragged[name], batch.ragged[name])


def test_rows_are_filled_at_their_ends() -> None:
    padded = pad_batch(make_batch([1, 3]), TEXT)

    assert padded["input_ids"].tolist() == [[1, 9, 9], [2, 3, 4]]
    assert padded[MASK].tolist() == [[1, 0, 0], [1, 1, 1]]
    assert set(padded) == {"input_ids", "token_type_ids", MASK}


def test_rows_without_padding_are_taken_without_a_copy() -> None:
    batch = make_batch([3, 3])
    assert np.shares_memory(pad_batch(batch, TEXT)["input_ids"], batch.ragged["input_ids"])


def test_an_input_of_fixed_length_is_padded_to_it() -> None:
    fixed = Signature((replace(IDS, dims=(BATCH, 4)), replace(ATTENDED, dims=(BATCH, 4))), ())

    padded = pad_batch(make_batch([2, 4]), fixed)

    assert padded["input_ids"].tolist() == [[1, 2, 9, 9], [3, 4, 5, 6]]
    assert padded[MASK].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    with pytest.raises(
        ShapeMismatchError, match=r"input 'input_ids' of a row must have the shape \[4\], but has \[5\]"
    ):
        pad_batch(make_batch([5]), fixed)


def test_an_input_without_pad_value_is_never_padded() -> None:
    batch = replace(make_batch([1, 3]), pad_values={"token_type_ids": 0})
    with pytest.raises(ShapeMismatchError, match=r"input 'input_ids' of a row .* but has \[1\]"):
        pad_batch(batch, TEXT)
    assert pad_batch(batch.select([1]), TEXT)["input_ids"].shape == (1, 3)


def test_what_rows_are_padded_with_is_an_index_as_any_other() -> None:
    bounded = Signature((replace(IDS, upper_bound=9), ATTENDED), ())

    assert pad_batch(make_batch([4, 4]), bounded)["input_ids"].shape == (2, 4)
    with pytest.raises(RequestError, match="input 'input_ids' must hold numbers from 0 to 8, but holds 9"):
        pad_batch(make_batch([4, 3]), bounded)


def test_lengths_and_indices_are_checked_once() -> None:
    limited = Signature((replace(IDS, upper_bound=99), ATTENDED, TYPES), (), {SEQUENCE: 4})
    with pytest.raises(InputTooLongError, match="row 1 has 5 tokens, but the model takes 4 at most"):
        pad_batch(make_batch([2, 5]), limited)
    with pytest.raises(RequestError, match="must hold numbers from 0 to 98, but holds 200"):
        pad_batch(make_batch([3], input_ids=np.array([1, 200, 3])), limited)
    batch = make_batch([2, 4])
    check_batch(batch, limited)
    assert batch.checked_for is batch.select([1]).checked_for is limited
    assert replace(batch, pad_values={}).checked_for is None


def test_a_mask_of_more_axes_is_not_made() -> None:
    signature = Signature((IDS, replace(ATTENDED, dims=(BATCH, 1, SEQUENCE, SEQUENCE))), ())
    with pytest.raises(RequestError, match=r"a mask is made for \[batch, seq\], but the model takes attention_mask"):
        pad_batch(make_batch([2]), signature)


def test_a_fixed_number_of_rows_is_kept() -> None:
    fixed = Signature((replace(IDS, dims=(2, SEQUENCE)),), ())

    assert pad_batch(make_batch([1, 1]), fixed)["input_ids"].shape == (2, 1)
    with pytest.raises(ShapeMismatchError, match=r"input 'input_ids' must have the shape \[2, seq\], but has \[1\]"):
        pad_batch(make_batch([3]), fixed)


def test_dense_inputs_are_taken_as_they_are() -> None:
    images = np.ones((2, 3, 4), np.float32)
    signature = Signature((floats("image", BATCH, 3, "width"),), ())

    assert pad_batch(Batch.of_rows({"image": images}), signature)["image"] is images
    assert pad_batch(Batch.of_rows({"image": stack_rows(list(images))}), signature)["image"].shape == (2, 3, 4)
    different = stack_rows([images[0], images[1][:, :2]])
    with pytest.raises(ShapeMismatchError, match="must have the same shape"):
        pad_batch(Batch.of_rows({"image": different}), signature)
    with pytest.raises(ShapeMismatchError, match=r"shape \[3, width\]"):
        pad_batch(Batch.of_rows({"image": images[:, :2]}), signature)


LAYOUTS = pytest.mark.parametrize("lay_out", [pad_batch, pack_batch])


@LAYOUTS
@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"input_ids": np.zeros(4, np.int32)}, DTypeMismatchError, "data type i64, but has i32"),
        ({"input_ids": np.zeros((4, 2), np.int64)}, ShapeMismatchError, r"input 'input_ids' of a row"),
    ],
)
def test_what_does_not_fit_the_signature_is_refused(
    lay_out: Any, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        lay_out(make_batch([2, 2], **changes), TEXT)


@LAYOUTS
def test_a_missing_input_is_named(lay_out: Any) -> None:
    batch = make_batch([2])
    with pytest.raises(UnknownInputError, match="missing token_type_ids"):
        lay_out(replace(batch, ragged={"input_ids": batch.ragged["input_ids"]}), TEXT)


@LAYOUTS
def test_empty_rows_and_batches_are_refused(lay_out: Any) -> None:
    with pytest.raises(ShapeMismatchError, match=r"row 1 must have the shape \[tokens >= 1\]"):
        lay_out(make_batch([2, 0]), TEXT)
    with pytest.raises(ShapeMismatchError, match="a batch must have the shape"):
        lay_out(make_batch([]), TEXT)


def test_the_packed_signature_and_back() -> None:
    packed = packed_signature(TEXT)
    assert packed == Signature(
        (
            TensorSpec("input_ids", DataType.I64, (TOKENS,)),
            TensorSpec("token_type_ids", DataType.I32, (TOKENS,)),
            TensorSpec("pad_indices", DataType.I64, (BATCH, SEQUENCE)),
            TensorSpec("unpad_indices", DataType.I64, (TOKENS,)),
        ),
        (floats("vectors", TOKENS, 3), floats("pooled", BATCH, 2)),
    )
    assert padded_signature(packed) == TEXT


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ((IDS, ATTENDED), True),
        ((IDS, ATTENDED, TYPES), True),
        ((ATTENDED,), True),
        ((IDS,), False),
        ((), False),
        ((IDS, ATTENDED, floats("image", BATCH, 3)), False),
        ((IDS, replace(ATTENDED, dims=(BATCH, 128))), False),
        ((IDS, replace(ATTENDED, dims=(2, SEQUENCE))), False),
    ],
)
def test_what_can_be_packed(inputs: tuple[TensorSpec, ...], expected: bool) -> None:
    assert can_be_packed(Signature(inputs, ())) is expected


@given(lengths=LENGTHS, seed=st.integers(0, 99))
def test_pad_indices_and_unpad_indices_are_inverse_of_each_other(lengths: list[int], seed: int) -> None:
    batch = make_batch(lengths, seed)

    packed = pack_batch(batch, TEXT)

    packed_signature(TEXT).check_inputs(packed)
    assert packed["input_ids"] is batch.ragged["input_ids"]
    pad_indices, unpad_indices = packed["pad_indices"], packed["unpad_indices"]
    assert pad_indices.dtype == unpad_indices.dtype == np.dtype(np.int64)
    assert pad_indices.shape == (len(lengths), max(lengths))
    np.testing.assert_array_equal(pad_indices.reshape(-1)[unpad_indices], np.arange(sum(lengths)))
    np.testing.assert_array_equal(np.flatnonzero(pad_indices >= 0), unpad_indices)
    assert (pad_indices[pad_indices < 0] == -1).all()


def test_what_is_dense_or_masked_cannot_be_packed() -> None:
    batch = make_batch([2, 2])
    masked = replace(batch, ragged={**batch.ragged, MASK: np.array([1, 0, 1, 1])})
    with pytest.raises(RequestError, match="nor a mask, but has attention_mask"):
        pack_batch(masked, TEXT)
    assert pad_batch(masked, TEXT)[MASK].tolist() == [[1, 0], [1, 1]]
    dense = Batch.of_rows(
        {
            name: np.ones((2, 3), spec.numpy_dtype)
            for name, spec in (("input_ids", DataType.I64), (MASK, DataType.I64), ("token_type_ids", DataType.I32))
        }
    )
    with pytest.raises(RequestError, match="must have neither dense inputs nor a mask"):
        pack_batch(dense, TEXT)


def test_a_small_batch() -> None:
    packed = pack_batch(make_batch([2, 1]), TEXT)

    assert packed["pad_indices"].tolist() == [[0, 1], [2, -1]]
    assert packed["unpad_indices"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("mask", [[[0, 1]], [[1, 1], [0, 1]], [[1, 0, 1]]])
def test_a_mask_that_is_not_a_prefix_cannot_be_packed(mask: list[list[int]]) -> None:
    shown = np.array(mask)
    inputs = {MASK: shown, "input_ids": shown, "token_type_ids": shown.astype(np.int32)}
    row = len(mask) - 1
    with pytest.raises(RequestError, match=f"attention_mask of row {row} is not ones followed by zeros"):
        read_padded(inputs, TEXT)


def test_rows_without_tokens_have_no_place_in_a_batch() -> None:
    mask = np.array([[0, 0], [1, 0]])
    inputs = {MASK: mask, "input_ids": mask, "token_type_ids": mask.astype(np.int32)}

    batch, lengths = read_padded(inputs, TOKEN_WISE)

    assert (batch.lengths.tolist(), lengths.tolist()) == ([1], [0, 1])
    with pytest.raises(RequestError, match="the attention_mask of row 0 is all zeros"):
        read_padded(inputs, TEXT)
