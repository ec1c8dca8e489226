"""A packed batch whose rows have more places is the same batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.backends.openvino.filling import pad_to_multiple
from inferox.batching import pack_rows, packed_signature
from inferox.core import BATCH, SEQUENCE, DataType, Signature, TensorSpec

PADDED = Signature(
    tuple(TensorSpec(name, DataType.I64, (BATCH, SEQUENCE)) for name in ("input_ids", "attention_mask")),
    (TensorSpec("vectors", DataType.F32, (BATCH, SEQUENCE, 3)),),
)
PACKED = packed_signature(PADDED)


def pack(lengths: list[int]) -> dict[str, np.ndarray]:
    ids = np.arange(1, sum(lengths) + 1)
    rows = np.split(ids, np.cumsum(lengths)[:-1])
    # Every third token is hidden, but never a row's last one.
    masks = [np.append((row[:-1] % 3 != 0), True).astype(np.int64) for row in rows]
    return pack_rows(
        [{"input_ids": row, "attention_mask": mask} for row, mask in zip(rows, masks, strict=True)], PACKED
    )


@given(lengths=st.lists(st.integers(1, 70), min_size=1, max_size=6))
def test_every_token_keeps_its_row_and_its_place(lengths: list[int]) -> None:
    packed = pack(lengths)
    filled = pad_to_multiple(packed)
    PACKED.check_inputs(filled)
    longest = packed["pad_indices"].shape[1]
    np.testing.assert_array_equal(filled["pad_indices"][:, :longest], packed["pad_indices"])
    assert (filled["pad_indices"][:, longest:] == -1).all()
    at_slots = filled["pad_indices"].reshape(-1)[filled["unpad_indices"]]
    np.testing.assert_array_equal(np.where(at_slots >= 0, at_slots, -2 - at_slots), np.arange(sum(lengths)))
    np.testing.assert_array_equal(filled["input_ids"], packed["input_ids"])


@pytest.mark.parametrize(
    ("longest", "width"),
    [(1, 1), (8, 8), (11, 11), (12, 16), (15, 16), (16, 16), (17, 17), (23, 23), (24, 32), (55, 55), (56, 64)],
)
def test_rows_are_filled_up_where_that_takes_few_places(longest: int, width: int) -> None:
    packed = pack([longest, 1])
    kept = packed["pad_indices"].copy()
    assert pad_to_multiple(packed)["pad_indices"].shape == (2, width)
    np.testing.assert_array_equal(packed["pad_indices"], kept)
