"""Rows end to end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import Batch, ShapeMismatchError, join_rows, stack_rows, to_cu_seqlens

from .batches import make_batch

LENGTHS = st.lists(st.integers(0, 9), max_size=7)


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@given(lengths=LENGTHS, seed=st.integers(0, 99))
def test_rows_are_what_lies_between_their_ends(lengths: list[int], seed: int) -> None:
    batch = make_batch(lengths, seed)

    rows = list(batch)

    assert len(batch) == len(rows) == len(lengths)
    assert batch.token_count == sum(lengths)
    assert [len(row["input_ids"]) for row in rows] == batch.lengths.tolist() == lengths
    assert [int(row["cut_tokens"]) for row in rows] == list(range(len(lengths)))
    for name, array in batch.ragged.items():
        np.testing.assert_array_equal(np.concatenate([array[:0], *(row[name] for row in rows)]), array)


@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=7), data=st.data(), seed=st.integers(0, 99))
def test_rows_can_be_selected_in_any_order(lengths: list[int], data: st.DataObject, seed: int) -> None:
    batch = make_batch(lengths, seed)
    indices = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=9))

    selected = batch.select(indices)

    assert len(selected) == len(indices)
    assert selected.pad_values == batch.pad_values
    for index, row in zip(indices, selected, strict=True):
        assert_same(row, batch[index])


@given(parts=st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=4))
def test_batches_are_joined_row_by_row(parts: list[list[int]]) -> None:
    batches = [make_batch(lengths, seed + 1) for seed, lengths in enumerate(parts)]

    joined = list(Batch.concatenate(batches))

    for found, expected in zip(joined, [row for batch in batches for row in batch], strict=True):
        assert_same(found, expected)


@pytest.mark.parametrize("indices", [[2], [0, -1], [-3]])
def test_rows_that_are_not_there_cannot_be_selected(indices: list[int]) -> None:
    with pytest.raises(IndexError, match="of a batch of 2 rows"):
        make_batch([2, 3]).select(indices)


def test_all_rows_in_order_are_the_batch_itself() -> None:
    batch = make_batch([1, 2])
    assert batch.select([0, 1]) is batch
    assert batch.select([1, 0]) is not batch


def test_a_row_shares_the_memory_of_its_batch() -> None:
    batch = make_batch([2, 3])
    assert np.shares_memory(batch[1]["input_ids"], batch.ragged["input_ids"])
    assert batch[-1]["input_ids"].tolist() == [3, 4, 5]


@pytest.mark.parametrize("index", [2, -3])
def test_there_is_no_row_beyond_the_last(index: int) -> None:
    with pytest.raises(IndexError, match=f"row {index} of a batch of 2 rows"):
        make_batch([2, 3])[index]


def test_rows_of_different_shapes_are_kept_as_they_are() -> None:
    images = [np.ones((3, 4), np.float32), np.ones((2, 2), np.float32), np.zeros((3, 4), np.float32)]
    batch = Batch.of_rows({"image": stack_rows(images)})

    assert batch.dense["image"].dtype == object
    assert [row["image"].shape for row in batch] == [(3, 4), (2, 2), (3, 4)]
    assert batch.select([2, 0]).dense["image"][0] is images[2]
    assert batch.lengths.tolist() == [1, 1, 1]


def test_arrays_of_different_shapes_are_joined_as_rows() -> None:
    same, other = np.ones((2, 3)), np.ones((1, 4))
    assert join_rows([same, same]).shape == (4, 3)
    assert [row.shape for row in join_rows([same, other])] == [(3,), (3,), (4,)]


@pytest.mark.parametrize(
    ("ragged", "dense", "ends", "message"),
    [
        ({"ids": np.zeros(4)}, {}, [0, 2, 5], "input 'ids' of a batch of 5 tokens"),
        ({}, {"image": np.zeros((3, 2))}, [0, 2, 5], "input 'image' of a batch of 2 rows"),
        ({}, {"scalar": np.zeros(())}, [0, 1], "input 'scalar'"),
        ({"ids": np.zeros(5)}, {}, [1, 5], "cu_seqlens"),
        ({"ids": np.zeros(5)}, {}, [0, 3, 2, 5], "cu_seqlens"),
        ({}, {}, [], "cu_seqlens"),
    ],
)
def test_what_does_not_divide_into_rows_is_refused(ragged: Any, dense: Any, ends: list[int], message: str) -> None:
    with pytest.raises(ShapeMismatchError, match=message):
        Batch(ragged, dense, np.array(ends, dtype=np.int64))


def test_ends_are_64_bit_integers() -> None:
    with pytest.raises(ShapeMismatchError, match="cu_seqlens"):
        Batch({}, {}, np.zeros(1, dtype=np.int32))
    assert to_cu_seqlens(np.array([2, 0, 3], dtype=np.int32)).tolist() == [0, 2, 2, 5]
    assert to_cu_seqlens(np.array([], dtype=np.int64)).dtype == np.int64
