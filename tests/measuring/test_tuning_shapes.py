from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import DataType, Signature, TensorSpec
from inferox.measuring.tuning_shapes import count_tokens, make_batch
from inferox.parity import SampleBatch, Samples

IDS = TensorSpec("input_ids", DataType.I64, ("batch", "seq"))
MASKED = Signature(
    (IDS, TensorSpec("attention_mask", DataType.I64, ("batch", "seq"))), (TensorSpec("y", DataType.F32, ("batch", 2)),)
)
UNMASKED = Signature((IDS,), MASKED.outputs)


def make_samples(signature: Signature) -> Samples:
    inputs = {spec.name: np.array([[3, 1, 4], [1, 5, 9]]) for spec in signature.inputs}
    return Samples((SampleBatch(inputs, {"y": np.zeros((2, 2), np.float32)}),))


@given(st.integers(1, 64), st.integers(1, 512))
def test_rows_are_as_full_as_mixed_texts_make_them(rows: int, length: int) -> None:
    batch = make_batch(MASKED, make_samples(MASKED), (rows, length))
    lengths = batch["attention_mask"].sum(1)
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (rows, length)
    assert lengths.max() == length
    assert lengths.min() >= 2 / 3 * length
    assert (np.diff(batch["attention_mask"], axis=1) <= 0).all()  # padding only follows the tokens
    assert count_tokens(batch, (rows, length)) == lengths.sum()
    if rows > 1:
        assert abs(lengths.mean() / length - 5 / 6) <= 1 / length


@pytest.mark.parametrize("shape", [(1, 1), (4, 8)])
def test_rows_without_a_mask_are_full(shape: tuple[int, int]) -> None:
    batch = make_batch(UNMASKED, make_samples(UNMASKED), shape)
    assert list(batch) == ["input_ids"]
    assert count_tokens(batch, shape) == shape[0] * shape[1]
