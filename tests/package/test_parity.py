"""Parity: what is measured, what is left out, and which class comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import Artifact, DataType, Layout, ManifestError, Precision, Signature, TensorSpec
from inferox.package import (
    ArtifactEvidence,
    ParityClass,
    ParityReport,
    SampleBatch,
    Samples,
    classify,
    collect_evidence,
    measure,
)

Array = npt.NDArray[Any]

TOKENS = TensorSpec("last_hidden_state", DataType.F32, ("batch", "seq", 8))
LOGITS = TensorSpec("logits", DataType.F32, ("batch", 3))
SCORE = TensorSpec("logits", DataType.F32, ("batch", 1))


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def batch(spec: TensorSpec, reference: Array, mask: Array | None = None) -> SampleBatch:
    return SampleBatch({} if mask is None else {"attention_mask": mask}, {spec.name: reference})


def test_the_same_numbers_agree_exactly() -> None:
    reference = random(2, 5, 8)
    agreement = measure([TOKENS], [batch(TOKENS, reference)], [{TOKENS.name: reference}])
    assert (agreement.max_abs, agreement.max_rel) == (0, 0)
    assert agreement.cosine_min == pytest.approx(1)
    assert agreement.argmax_agreement is None
    assert classify(agreement, ParityClass.CLOSE) is ParityClass.EXACT


def test_padding_does_not_count() -> None:
    reference, mask = random(2, 5, 8), np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    actual = reference.copy()
    actual[1, 2:] = np.nan
    agreement = measure([TOKENS], [batch(TOKENS, reference, mask)], [{TOKENS.name: actual}])
    assert agreement.max_abs == 0
    actual[1, 1] += 1
    assert measure([TOKENS], [batch(TOKENS, reference, mask)], [{TOKENS.name: actual}]).max_abs == pytest.approx(1)


@pytest.mark.parametrize(
    "actual",
    [
        {},
        {"other": random(2, 5, 8)},
        {TOKENS.name: random(2, 5, 7)},
        {TOKENS.name: random(2, 40)},
        {TOKENS.name: np.full((2, 5, 8), np.nan, np.float32)},
        {TOKENS.name: np.full((2, 5, 8), np.inf, np.float32)},
    ],
)
@pytest.mark.parametrize("least", [ParityClass.CLOSE, ParityClass.QUANTIZED])
def test_what_cannot_be_compared_fails(actual: dict[str, Array], least: ParityClass) -> None:
    agreement = measure([TOKENS], [batch(TOKENS, random(2, 5, 8), np.ones((2, 5)))], [actual])
    assert classify(agreement, least) is ParityClass.FAIL


def test_the_worst_call_counts() -> None:
    reference = random(4, 3)
    worse = reference.copy()
    worse[2] = -worse[2]
    agreement = measure([LOGITS], [batch(LOGITS, reference)] * 2, [{"logits": reference}, {"logits": worse}])
    assert agreement.cosine_min == pytest.approx(-1)
    assert agreement.cosine_mean == pytest.approx(6 / 8)
    assert agreement.argmax_agreement == 7 / 8
    assert classify(agreement, ParityClass.QUANTIZED) is ParityClass.FAIL


@pytest.mark.parametrize(
    ("noise", "least", "expected"),
    [
        (1e-7, ParityClass.CLOSE, ParityClass.EXACT),
        (1e-3, ParityClass.CLOSE, ParityClass.CLOSE),
        (5e-2, ParityClass.CLOSE, ParityClass.FAIL),
        (5e-2, ParityClass.QUANTIZED, ParityClass.QUANTIZED),
        (1.0, ParityClass.QUANTIZED, ParityClass.FAIL),
    ],
)
def test_classes_by_noise(noise: float, least: ParityClass, expected: ParityClass) -> None:
    reference = random(3, 20, 8)
    actual = reference + np.float32(noise) * random(3, 20, 8, seed=1)
    agreement = measure([TOKENS], [batch(TOKENS, reference)], [{TOKENS.name: actual}])
    assert classify(agreement, least) is expected


@pytest.mark.parametrize(
    ("shift", "expected"), [(0.0, ParityClass.EXACT), (1e-4, ParityClass.CLOSE), (0.3, ParityClass.FAIL)]
)
def test_single_scores_have_no_direction_and_are_compared_by_size(shift: float, expected: ParityClass) -> None:
    reference = np.array([[1.0], [-0.5], [0.25]], np.float32)
    agreement = measure([SCORE], [batch(SCORE, reference)], [{"logits": reference + np.float32(shift)}])
    assert classify(agreement, ParityClass.QUANTIZED) is expected


def test_zeros_agree_with_zeros_alone() -> None:
    zeros = np.zeros((2, 3), np.float32)
    assert (
        classify(measure([LOGITS], [batch(LOGITS, zeros)], [{"logits": zeros}]), ParityClass.CLOSE) is ParityClass.EXACT
    )
    ones = measure([LOGITS], [batch(LOGITS, zeros)], [{"logits": zeros + 1}])
    assert classify(ones, ParityClass.QUANTIZED) is ParityClass.FAIL


def test_nothing_to_compare_is_no_agreement() -> None:
    assert classify(measure([LOGITS], [], []), ParityClass.QUANTIZED) is ParityClass.FAIL
    empty = np.zeros((0, 3), np.float32)
    assert (
        classify(measure([LOGITS], [batch(LOGITS, empty)], [{"logits": empty}]), ParityClass.CLOSE) is ParityClass.FAIL
    )


@pytest.mark.parametrize("factor", [-1.0, 0.1, 0.9, 1.1, 2.0])
def test_outputs_that_are_merely_scaled_are_not_close(factor: float) -> None:
    reference = random(4, 3)
    agreement = measure([LOGITS], [batch(LOGITS, reference)], [{"logits": reference * np.float32(factor)}])
    assert classify(agreement, ParityClass.CLOSE) is ParityClass.FAIL
    assert (classify(agreement, ParityClass.QUANTIZED) is ParityClass.QUANTIZED) == (0.9 <= factor <= 1.1)


def test_a_score_that_differs_by_rounding_is_exact() -> None:
    reference = np.array([[1.0], [-0.5]], np.float32)
    agreement = measure([SCORE], [batch(SCORE, reference)], [{"logits": reference + np.float32(4e-6)}])
    assert classify(agreement, ParityClass.CLOSE) is ParityClass.EXACT


@pytest.mark.parametrize("reference", [{}, {"logits": np.full((2, 3), np.nan, np.float32)}])
def test_a_reference_that_says_nothing_agrees_with_nothing(reference: dict[str, Array]) -> None:
    agreement = measure([LOGITS], [SampleBatch({}, reference)], [{"logits": random(2, 3)}])
    assert classify(agreement, ParityClass.QUANTIZED) is ParityClass.FAIL


@pytest.mark.parametrize("dims", [("batch", 4, "seq"), ("batch", "seq"), ("batch", 4, "seq", "seq")])
def test_padding_does_not_count_on_any_axis(dims: tuple[str | int, ...]) -> None:
    spec = TensorSpec("x", DataType.F32, dims)
    reference = random(*({"batch": 2, "seq": 5}.get(str(dim), 4) for dim in dims))
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    actual = reference.copy()
    actual[1, ..., 2:] = np.nan
    if dims.count("seq") == 2:
        actual[1, ..., 2:, :] = np.nan
    assert measure([spec], [batch(spec, reference, mask)], [{"x": actual}]).max_abs == 0
    actual[(1, *[1] * (len(dims) - 1))] += 1
    assert measure([spec], [batch(spec, reference, mask)], [{"x": actual}]).max_abs == pytest.approx(1)


@given(st.floats(1e-6, 1e6), st.integers(0, 5))
def test_a_common_factor_changes_no_class(factor: float, seed: int) -> None:
    reference = random(4, 3, seed=seed)
    actual = reference + np.float32(1e-3) * random(4, 3, seed=seed + 1)
    classes = {
        classify(
            measure([LOGITS], [batch(LOGITS, reference * scale)], [{"logits": actual * scale}]), ParityClass.QUANTIZED
        )
        for scale in (np.float32(1), np.float32(factor))
    }
    assert len(classes) == 1


@pytest.mark.parametrize("shift", [0.0, np.nan])
def test_evidence_reads_back(shift: float) -> None:
    reference = random(2, 3)
    artifact = Artifact("torch", "safetensors", Precision.BF16, Layout.PADDED, {}, Signature((), (LOGITS,)), Path(), {})
    samples = Samples((batch(LOGITS, reference),))
    evidence = collect_evidence(artifact, samples, [{"logits": reference + np.float32(shift)}])
    assert evidence.artifact == "torch/safetensors/bf16/padded"
    assert evidence.versions["torch"]
    assert ParityReport.from_json(ParityReport((evidence,)).to_json()) == ParityReport((evidence,))


NUMBERS = {"max_abs": 0.0, "max_rel": 0, "cosine_mean": 1.0, "cosine_min": 1.0, "argmax_agreement": None}


def test_fields_of_a_later_minor_format_are_left_alone() -> None:
    evidence = {"artifact": "a", "class": "exact", "versions": {}, "machine": "m", "novelty": 1}
    evidence |= {"agreement": {**NUMBERS, "novelty": 1}, "tolerance": {**NUMBERS, "novelty": 1}}
    read = ArtifactEvidence.from_json(evidence)
    assert (read.agreement.max_rel, read.tolerance.cosine_min) == (0, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"class": "perfect"},
        {"agreement": {}},
        {"agreement": {**NUMBERS, "max_abs": "small"}},
        {"agreement": {**NUMBERS, "argmax_agreement": "most"}},
        {"tolerance": {"x": 1}},
        {"tolerance": {**NUMBERS, "max_rel": True}},
        {"versions": {"torch": 2}},
        {"machine": 3},
    ],
)
def test_malformed_evidence_is_refused(change: dict[str, Any]) -> None:
    artifact = Artifact("torch", "safetensors", Precision.FP32, Layout.PADDED, {}, Signature((), (LOGITS,)), Path(), {})
    reference = random(2, 3)
    evidence = collect_evidence(artifact, Samples((batch(LOGITS, reference),)), [{"logits": reference}])
    with pytest.raises(ManifestError):
        ArtifactEvidence.from_json({**evidence.to_json(), **change})
