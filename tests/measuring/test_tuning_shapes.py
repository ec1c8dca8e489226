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
def test_the_logarithms_of_lengths_are_evenly_spread(rows: int, length: int) -> None:
    batch = make_batch(MASKED, make_samples(MASKED), (rows, length))
    lengths = batch["attention_mask"].sum(1)
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (rows, length)
    assert (np.diff(batch["attention_mask"], axis=1) <= 0).all()  # padding only follows the tokens
    assert lengths[0] == length
    assert (np.diff(lengths) <= 0).all()
    assert lengths[-1] == (np.ceil(length / 8) if rows > 1 else length)
    assert count_tokens(batch, (rows, length)) == (lengths.sum(), (lengths**2).sum())
    if rows % 2 and rows > 2:
        assert abs(lengths[rows // 2] - length / 8**0.5) <= 1


@pytest.mark.parametrize("shape", [(1, 1), (4, 8)])
def test_rows_without_a_mask_are_full(shape: tuple[int, int]) -> None:
    batch = make_batch(UNMASKED, make_samples(UNMASKED), shape)
    assert list(batch) == ["input_ids"]
    assert count_tokens(batch, shape) == (shape[0] * shape[1], shape[0] * shape[1] ** 2)
