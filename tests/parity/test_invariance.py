"""Batch invariance: rows alone against the same rows in a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from inferox.core import BATCH, SEQUENCE, DataType, ExecutionError, Precision, Signature, TensorSpec
from inferox.parity import BatchInvariance, ParityClass, ParityTarget, SampleBatch, Samples, measure_invariance
from inferox.parity.invariance import LIMITS

Arrays = Mapping[str, npt.NDArray[Any]]

ROWS = Signature(
    (TensorSpec("x", DataType.F32, (BATCH, 4)),),
    (TensorSpec("y", DataType.F32, (BATCH, 4)),),
)
TOKENS = Signature(
    (
        TensorSpec("input_ids", DataType.I64, (BATCH, SEQUENCE)),
        TensorSpec("attention_mask", DataType.I64, (BATCH, SEQUENCE)),
    ),
    (TensorSpec("y", DataType.F32, (BATCH, SEQUENCE, 2)),),
)
X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)


def find(
    compute: Callable[[Arrays], Arrays], signature: Signature, *calls: Arrays, probes: tuple[Arrays, ...] = ()
) -> BatchInvariance | None:
    samples = Samples(tuple(SampleBatch(call, compute(call)) for call in calls), probes)
    outputs = [batch.outputs for batch in samples.batches]
    return measure_invariance(compute, samples, outputs, signature, ParityTarget.of_outputs(signature.outputs))


def test_rows_that_are_computed_each_by_itself_are_the_same() -> None:
    found = find(lambda call: {"y": call["x"] / np.abs(call["x"]).max(axis=1, keepdims=True)}, ROWS, {"x": X})
    assert found is not None
    assert found.holds
    assert (found.max_rel, found.rows) == (0.0, 3)
    assert str(found) == "batch invariant"


def test_a_row_scaled_by_the_largest_number_of_the_batch_is_not() -> None:
    found = find(lambda call: {"y": call["x"] / np.abs(call["x"]).max()}, ROWS, {"x": X})
    assert found is not None
    assert not found.holds
    assert found.max_rel > 0.1
    assert "depends on the batch: a row differs by up to" in str(found)


def test_mates_of_a_probe_disturb_rows_of_samples_but_are_not_compared_themselves() -> None:
    def compute(call: Arrays) -> Arrays:
        x = call["x"]
        # Only very large numbers affect other rows; beside such a row all are wrong, including itself.
        return {"y": x + (np.abs(x).max() > 100) * len(x)}

    alike, probe = {"x": X}, {"x": np.concatenate([X[:1], X[1:2] * 1000])}
    undisturbed = find(compute, ROWS, alike)
    assert undisturbed is not None
    assert undisturbed.holds
    found = find(compute, ROWS, alike, probes=(probe,))
    assert found is not None
    assert not found.holds
    assert found.rows == 4
    only_large = find(lambda call: {"y": call["x"] * (1 + (np.abs(call["x"]) > 100))}, ROWS, alike, probes=(probe,))
    assert only_large is not None
    assert only_large.holds


def test_a_row_alone_is_cut_to_what_its_mask_attends() -> None:
    lengths: list[int] = []

    def compute(call: Arrays) -> Arrays:
        lengths.append(call["input_ids"].shape[1])
        return {"y": np.repeat(call["input_ids"][:, :, None], 2, axis=2).astype(np.float32)}

    call = {"input_ids": np.array([[5, 6, 0], [7, 8, 9]]), "attention_mask": np.array([[1, 1, 0], [1, 1, 1]])}
    found = find(compute, TOKENS, call)
    assert found is not None
    assert found.holds
    assert lengths == [3, 2, 3]


def test_padding_that_changes_a_row_is_seen() -> None:
    def compute(call: Arrays) -> Arrays:
        ids = call["input_ids"].astype(np.float32)
        return {"y": np.repeat((ids - ids.mean(axis=1, keepdims=True))[:, :, None], 2, axis=2)}

    call = {"input_ids": np.array([[5, 6, 0], [7, 8, 9]]), "attention_mask": np.array([[1, 1, 0], [1, 1, 1]])}
    found = find(compute, TOKENS, call)
    assert found is not None
    assert not found.holds


def test_rows_of_nothing_but_padding_are_left_aside() -> None:
    def compute(call: Arrays) -> Arrays:
        return {"y": np.ones((*call["input_ids"].shape, 2), np.float32)}

    call = {"input_ids": np.array([[5, 6], [7, 8]]), "attention_mask": np.array([[1, 1], [0, 0]])}
    assert find(compute, TOKENS, call) is None


def test_nothing_is_said_of_what_never_shares_a_batch() -> None:
    assert find(lambda call: {"y": call["x"]}, ROWS, {"x": X[:1]}, {"x": X[1:2]}) is None
    whole = Signature((TensorSpec("x", DataType.F32, (3, 4)),), (TensorSpec("y", DataType.F32, (1,)),))
    assert find(lambda call: {"y": call["x"].sum(keepdims=True)[0]}, whole, {"x": X}) is None


def test_a_model_that_takes_no_single_row_is_not_compared() -> None:
    def compute(call: Arrays) -> Arrays:
        if len(call["x"]) == 1:
            raise ExecutionError("expected more than 1 value per channel when training")
        return {"y": call["x"]}

    assert find(compute, ROWS, {"x": X}) is None


@pytest.mark.parametrize("mixes", [False, True])
def test_a_model_of_a_fixed_number_of_rows_is_compared_with_copies_of_a_row(mixes: bool) -> None:
    fixed = Signature((TensorSpec("x", DataType.F32, (3, 4)),), (TensorSpec("y", DataType.F32, (3, 4)),))

    def compute(call: Arrays) -> Arrays:
        assert call["x"].shape == (3, 4)
        return {"y": call["x"] - call["x"].mean(axis=0) if mixes else call["x"] - 1}

    found = find(compute, fixed, {"x": X})
    assert found is not None
    assert found.holds is not mixes


def test_infinities_in_both_are_not_a_difference_but_those_in_one_are() -> None:
    def masked(call: Arrays) -> Arrays:
        y = call["x"].copy()
        y[:, 0] = -np.inf
        return {"y": y}

    def spoilt(call: Arrays) -> Arrays:
        return {"y": call["x"] * (np.nan if len(call["x"]) > 1 else 1)}

    found, other = find(masked, ROWS, {"x": X}), find(spoilt, ROWS, {"x": X}, {"x": X[:1]})
    assert found is not None
    assert found.holds
    assert other is not None
    assert other.max_rel == float("inf")
    assert not other.holds


def test_an_output_whose_shape_is_the_batchs_depends_on_it() -> None:
    square = Signature(ROWS.inputs, (TensorSpec("y", DataType.F32, (BATCH, "other")),))
    found = find(lambda call: {"y": call["x"] @ call["x"].T}, square, {"x": X})
    assert found is not None
    assert not found.holds


def test_exact_is_what_is_exact_in_batches_too() -> None:
    same, near, far = BatchInvariance(1e-6, 1.0, 3), BatchInvariance(1e-3, 0.99999, 3), BatchInvariance(0.1, 0.98, 3)
    assert same.limit_class(ParityClass.EXACT) is ParityClass.EXACT
    assert near.limit_class(ParityClass.EXACT) is ParityClass.CLOSE
    assert near.limit_class(ParityClass.QUANTIZED) is ParityClass.QUANTIZED
    assert far.limit_class(ParityClass.EXACT) is ParityClass.EXACT


def test_bf16_may_differ_by_what_its_rounding_does_and_no_precision_by_more() -> None:
    rounding, mixing = (BatchInvariance(figure, least, 3) for figure, least in ((0.011, 0.9998), (0.04, 0.985)))
    held = {
        precision: (replace(rounding, limit=limit).holds, replace(mixing, limit=limit).holds)
        for precision, limit in LIMITS.items()
    }
    assert held == {precision: (precision is Precision.BF16, False) for precision in Precision}


@pytest.mark.parametrize(
    "found",
    [BatchInvariance(0.5, 0.9, 7, inherent=True), BatchInvariance(float("inf"), -1.0, 1, limit=LIMITS[Precision.BF16])],
)
def test_it_reads_back_as_it_was_written(found: BatchInvariance) -> None:
    assert BatchInvariance.from_json(found.to_json()) == found
