"""Rows end to end, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.batching import Row, can_be_packed, pack_batch, pack_rows, packed_signature, split_packed, unpack_batch
from inferox.core import (
    BATCH,
    SEQUENCE,
    TOKENS,
    DataType,
    DTypeMismatchError,
    RequestError,
    ShapeMismatchError,
    Signature,
    TensorSpec,
    UnknownInputError,
)

from .models import Arrays, floats

IDS = TensorSpec("input_ids", DataType.I64, (BATCH, SEQUENCE))
TYPES = TensorSpec("token_type_ids", DataType.I32, (BATCH, SEQUENCE))
MASK = TensorSpec("attention_mask", DataType.I64, (BATCH, SEQUENCE))
PADDED = Signature((IDS, MASK, TYPES), (floats("vectors", BATCH, SEQUENCE, 3), floats("pooled", BATCH, 2)))
FACTORS = np.array([1, 2, 3], np.float32)
PACKED = packed_signature(PADDED)
TOKEN_WISE = Signature(PACKED.inputs, PACKED.outputs[:1])
LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=7)


@st.composite
def masks(draw: st.DrawFn) -> npt.NDArray[np.int64]:
    """A mask that shows at least one token, with any holes."""
    shape = (draw(st.integers(1, 6)), draw(st.integers(1, 8)))
    bits = draw(st.lists(st.integers(0, 1), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]).filter(any))
    return np.array(bits, dtype=np.int64).reshape(shape)


def make_rows(lengths: list[int], seed: int = 0) -> list[Row]:
    random = np.random.default_rng(seed)
    return [
        {
            "input_ids": random.integers(0, 99, length),
            "token_type_ids": random.integers(0, 2, length, dtype=np.int32),
            "offsets": np.zeros(length),
        }
        for length in lengths
    ]


def make_batch(mask: npt.NDArray[np.int64], seed: int = 0) -> Arrays:
    random = np.random.default_rng(seed)
    return {
        "input_ids": random.integers(1, 99, mask.shape),
        "token_type_ids": random.integers(0, 2, mask.shape, dtype=np.int32),
        "attention_mask": mask,
    }


def up_to_the_last_shown(mask: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    return np.array([[bool(row[place:].any()) for place in range(len(row))] for row in mask])


def test_the_packed_signature() -> None:
    assert packed_signature(PADDED) == Signature(
        (
            TensorSpec("input_ids", DataType.I64, (TOKENS,)),
            TensorSpec("token_type_ids", DataType.I32, (TOKENS,)),
            TensorSpec("pad_indices", DataType.I64, (BATCH, SEQUENCE)),
            TensorSpec("unpad_indices", DataType.I64, (TOKENS,)),
        ),
        (floats("vectors", TOKENS, 3), floats("pooled", BATCH, 2)),
    )


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ((IDS, MASK), True),
        ((IDS, MASK, TYPES), True),
        ((MASK,), True),
        ((IDS,), False),
        ((), False),
        ((IDS, MASK, floats("image", BATCH, 3)), False),
        ((IDS, TensorSpec("attention_mask", DataType.I64, (BATCH, 128))), False),
        ((IDS, TensorSpec("attention_mask", DataType.I64, (2, SEQUENCE))), False),
    ],
)
def test_what_can_be_packed(inputs: tuple[TensorSpec, ...], expected: bool) -> None:
    assert can_be_packed(Signature(inputs, ())) is expected


@given(mask=masks(), seed=st.integers(0, 99))
def test_what_is_packed_can_be_unpacked_whatever_the_mask(mask: npt.NDArray[np.int64], seed: int) -> None:
    batch = make_batch(mask, seed)

    packed = pack_batch(batch, TOKEN_WISE)

    PACKED.check_inputs(packed)
    assert len(packed["input_ids"]) == up_to_the_last_shown(mask).sum()
    same = Signature(PACKED.inputs, (PACKED.inputs[0], PACKED.inputs[1], floats("pooled", BATCH, 2)))
    pooled = np.random.default_rng(seed).random((len(mask), 2), np.float32)
    outputs = {**packed, "pooled": pooled}
    unpacked = unpack_batch(outputs, same, packed["pad_indices"])
    for name in ("input_ids", "token_type_ids"):
        np.testing.assert_array_equal(unpacked[name], batch[name] * mask)
        assert unpacked[name].dtype == batch[name].dtype
    np.testing.assert_array_equal(unpacked["pooled"], pooled)


@given(mask=masks())
def test_grid_and_slots_are_inverse_of_each_other(mask: npt.NDArray[np.int64]) -> None:
    packed = pack_batch(make_batch(mask), TOKEN_WISE)
    pad_indices, unpad_indices = packed["pad_indices"], packed["unpad_indices"]

    assert pad_indices.dtype == unpad_indices.dtype == np.dtype(np.int64)
    assert pad_indices.shape == mask.shape
    np.testing.assert_array_equal(pad_indices >= 0, mask != 0)
    np.testing.assert_array_equal(pad_indices != -1, up_to_the_last_shown(mask))
    np.testing.assert_array_equal(unpad_indices, np.flatnonzero(pad_indices != -1))
    at_slots = pad_indices.reshape(-1)[unpad_indices]
    np.testing.assert_array_equal(np.where(at_slots >= 0, at_slots, -2 - at_slots), np.arange(len(unpad_indices)))


@given(lengths=LENGTHS, seed=st.integers(0, 99))
def test_rows_are_packed_as_their_padded_batch_is(lengths: list[int], seed: int) -> None:
    rows = make_rows(lengths, seed)
    mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)
    batch: Arrays = {"attention_mask": mask}
    for name, dtype in (("input_ids", np.int64), ("token_type_ids", np.int32)):
        batch[name] = np.zeros(mask.shape, dtype)
        for index, row in enumerate(rows):
            batch[name][index, : lengths[index]] = row[name]

    packed, expected = pack_rows(rows, PACKED), pack_batch(batch, PACKED)

    PACKED.check_inputs(packed)
    assert set(packed) == set(expected) == set(PACKED.input_names)
    for name, array in packed.items():
        np.testing.assert_array_equal(array, expected[name])
        assert array.dtype == expected[name].dtype


@given(lengths=LENGTHS, seed=st.integers(0, 99))
def test_each_row_gets_its_own(lengths: list[int], seed: int) -> None:
    rows = make_rows(lengths, seed)
    joined = pack_rows(rows, PACKED)["input_ids"].astype(np.float32)
    outputs = {"vectors": joined[:, None] * FACTORS, "pooled": np.array([[n, -n] for n in lengths], np.float32)}

    for row, length, found in zip(rows, lengths, split_packed(outputs, rows, PACKED), strict=True):
        np.testing.assert_array_equal(found["vectors"], row["input_ids"][:, None] * FACTORS)
        assert found["pooled"].tolist() == [length, -length]
        assert np.shares_memory(found["vectors"], outputs["vectors"])


@given(mask=masks(), seed=st.integers(0, 99))
def test_rows_with_masks_are_packed_as_their_batch_is(mask: npt.NDArray[np.int64], seed: int) -> None:
    batch = make_batch(mask, seed)
    rows = [{name: array[index] for name, array in batch.items()} for index in range(len(mask))]

    packed, expected = pack_rows(rows, TOKEN_WISE), pack_batch(batch, TOKEN_WISE)

    for name, array in packed.items():
        np.testing.assert_array_equal(array, expected[name])
    outputs = {"vectors": packed["input_ids"].astype(np.float32)[:, None] * FACTORS}
    for row, found in zip(batch["input_ids"] * mask, split_packed(outputs, rows, TOKEN_WISE), strict=True):
        np.testing.assert_array_equal(found["vectors"], row[:, None] * FACTORS)


def test_a_small_batch() -> None:
    packed = pack_batch(make_batch(np.array([[1, 1, 0], [0, 0, 0], [0, 1, 0]])), TOKEN_WISE)

    assert packed["pad_indices"].tolist() == [[0, 1, -1], [-1, -1, -1], [-4, 3, -1]]
    assert packed["unpad_indices"].tolist() == [0, 1, 6, 7]


def test_where_every_token_is_hidden_one_is_shown() -> None:
    batch = make_batch(np.zeros((2, 3), np.int64))
    packed = pack_batch(batch, TOKEN_WISE)

    assert packed["pad_indices"].tolist() == [[0, -1, -1], [-1, -1, -1]]
    assert packed["unpad_indices"].tolist() == [0]
    assert not batch["attention_mask"].any()


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_a_batch_without_places_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ShapeMismatchError, match=r"input 'attention_mask' must have .*seq >= 1"):
        pack_batch(make_batch(np.zeros(shape, np.int64)), PACKED)


def test_a_row_without_a_shown_token_has_no_answer() -> None:
    batch = make_batch(np.array([[0, 1], [0, 0]]))
    rows = [{name: array[index] for name, array in batch.items()} for index in range(2)]

    with pytest.raises(RequestError, match="the attention_mask of row 1 is all zeros"):
        pack_batch(batch, PACKED)
    with pytest.raises(RequestError, match="the attention_mask of row 1 is all zeros"):
        pack_rows(rows, PACKED)


def test_a_mask_of_another_length_is_refused() -> None:
    rows = make_rows([2, 2])
    with pytest.raises(ShapeMismatchError, match=r"input 'attention_mask' of row 1 .*\[2\], and has \[3\]"):
        pack_rows([rows[0], {**rows[1], "attention_mask": np.ones(3, np.int64)}], PACKED)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"input_ids": np.zeros(0, np.int64), "token_type_ids": np.zeros(0, np.int32)}, ShapeMismatchError, "row 1 "),
        ({"token_type_ids": np.zeros(5, np.int32)}, ShapeMismatchError, "seq is 2 in another input"),
        ({"input_ids": np.zeros(2, np.int32)}, DTypeMismatchError, "data type i64, and has i32"),
        ({"input_ids": np.zeros((2, 1), np.int64)}, ShapeMismatchError, r"shape \[seq\], and has \[2, 1\]"),
    ],
)
def test_rows_that_do_not_fit_are_refused(change: Arrays, error: type[Exception], message: str) -> None:
    first, second = make_rows([2, 2])
    with pytest.raises(error, match=message):
        pack_rows([first, {**second, **change}], PACKED)


def test_rows_that_lack_an_input_are_refused() -> None:
    with pytest.raises(UnknownInputError, match="missing token_type_ids"):
        pack_rows([{"input_ids": np.zeros(2, np.int64)}], PACKED)


def test_no_rows_are_refused() -> None:
    with pytest.raises(ShapeMismatchError, match="a batch must have the shape"):
        pack_rows([], PACKED)


@pytest.mark.parametrize(
    "change", [{"vectors": (4, 3)}, {"vectors": (6, 3)}, {"vectors": (5,)}, {"pooled": (3, 2)}, {"pooled": (2,)}]
)
def test_outputs_that_do_not_cover_the_rows_are_refused(change: dict[str, Any]) -> None:
    shapes = {"vectors": (5, 3), "pooled": (2, 2)}
    outputs = {name: np.zeros(shape, np.float32) for name, shape in {**shapes, **change}.items()}
    name = next(iter(change))
    with pytest.raises(ShapeMismatchError, match=f"output '{name}' of a batch of 2 rows"):
        split_packed(outputs, make_rows([2, 3]), PACKED)
