"""A packed batch computes the same when its rows are widened or tokens are added."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import inferox
from inferox.backends.openvino.shape_rounding import round_places, round_tokens
from inferox.core import (
    BATCH,
    SEQUENCE,
    Batch,
    DataType,
    Signature,
    TensorSpec,
    pack_batch,
    packed_signature,
    to_cu_seqlens,
)

PADDED = Signature(
    tuple(TensorSpec(name, DataType.I64, (BATCH, SEQUENCE)) for name in ("input_ids", "attention_mask")),
    (TensorSpec("vectors", DataType.F32, (BATCH, SEQUENCE, 3)),),
)
PACKED = packed_signature(PADDED)


def pack(lengths: list[int]) -> dict[str, np.ndarray]:
    ids = np.arange(1, sum(lengths) + 1)
    return pack_batch(Batch({"input_ids": ids}, {}, to_cu_seqlens(np.array(lengths))), PADDED)


@given(lengths=st.lists(st.integers(1, 70), min_size=1, max_size=40))
def test_every_token_keeps_its_row_and_its_place(lengths: list[int]) -> None:
    packed = pack(lengths)
    rounded = round_places(packed)
    PACKED.check_inputs(rounded)
    rows, longest = packed["pad_indices"].shape
    np.testing.assert_array_equal(rounded["pad_indices"][:rows, :longest], packed["pad_indices"])
    assert (rounded["pad_indices"][:rows, longest:] == -1).all()
    assert (rounded["pad_indices"][rows:] >= 0).sum(1).tolist() == [1] * (len(rounded["pad_indices"]) - rows)
    at_places = rounded["pad_indices"].reshape(-1)[rounded["unpad_indices"]]
    np.testing.assert_array_equal(at_places, np.arange(sum(lengths)))
    np.testing.assert_array_equal(rounded["input_ids"], packed["input_ids"])


@pytest.mark.parametrize(
    ("longest", "width"), [(1, 8), (8, 8), (9, 16), (64, 64), (65, 72), (128, 128), (129, 136), (255, 256), (257, 272)]
)
def test_rows_are_padded_to_few_widths(longest: int, width: int) -> None:
    packed = pack([longest, 1])
    kept = packed["pad_indices"].copy()
    assert round_places(packed)["pad_indices"].shape == (2, width)
    np.testing.assert_array_equal(packed["pad_indices"], kept)


@pytest.mark.parametrize(
    ("rows", "padded_rows"), [(1, 1), (15, 15), (16, 16), (17, 18), (33, 36), (64, 64), (250, 256)]
)
def test_rows_are_added_up_to_few_numbers(rows: int, padded_rows: int) -> None:
    assert round_places(pack([2] * rows))["pad_indices"].shape == (padded_rows, 8)


@given(lengths=st.lists(st.integers(1, 300), min_size=1, max_size=12))
def test_tokens_are_added_that_no_row_has(lengths: list[int]) -> None:
    packed, count = pack(lengths), sum(lengths)
    rounded = round_tokens(packed)
    PACKED.check_inputs(rounded)
    assert count <= len(rounded["input_ids"]) < count + max(8, count / 32)
    np.testing.assert_array_equal(rounded["pad_indices"], packed["pad_indices"])
    for name in ("input_ids", "unpad_indices"):
        np.testing.assert_array_equal(rounded[name][:count], packed[name])
        assert not rounded[name][count:].any()


def test_totals_have_few_sizes() -> None:
    sizes = {len(round_tokens(pack([total]))["input_ids"]) for total in range(1, 1025)}
    assert len(sizes) <= 96
    assert {size % 8 for size in sizes} == {0}


def test_answers_of_added_rows_are_dropped(classifier_package: Path) -> None:
    items = [f"the number {number}" for number in range(17)]
    with inferox.load(classifier_package, backend="openvino") as model:
        assert "packed" in model.metadata.artifact
        together, alone = model.classify(items), [model.classify(item) for item in items]
    for one, other in zip(together, alone, strict=True):
        assert [label.label for label in one] == [label.label for label in other]
        np.testing.assert_allclose([label.score for label in one], [label.score for label in other], rtol=1e-5)
