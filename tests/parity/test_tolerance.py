"""Parity: what is measured, what is left out, and the resulting class."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import Artifact, ConfigError, DataType, Layout, ManifestError, Precision, Signature, TensorSpec
from inferox.parity import (
    LEAST_CLASS,
    TOLERANCES,
    ArtifactEvidence,
    ParityClass,
    ParityReport,
    ParityTarget,
    SampleBatch,
    Samples,
    Tolerance,
    classify,
    collect_evidence,
    measure,
)
from inferox.parity.measurement import measure_rows

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
    assert classify(agreement, TOLERANCES[ParityClass.CLOSE]) is ParityClass.EXACT


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
    assert classify(agreement, TOLERANCES[least]) is ParityClass.FAIL


def test_the_worst_call_counts() -> None:
    reference = random(4, 3)
    worse = reference.copy()
    worse[2] = -worse[2]
    agreement = measure([LOGITS], [batch(LOGITS, reference)] * 2, [{"logits": reference}, {"logits": worse}])
    assert agreement.cosine_min == pytest.approx(-1)
    assert agreement.cosine_mean == pytest.approx(6 / 8)
    assert agreement.argmax_agreement == 7 / 8
    assert classify(agreement, TOLERANCES[ParityClass.QUANTIZED]) is ParityClass.FAIL


TWO = (TOKENS, TensorSpec("pooler_output", DataType.F32, ("batch", 8)))


@pytest.mark.parametrize("worse_call", [0, 1])
@pytest.mark.parametrize("worse_output", [0, 1])
def test_the_largest_difference_of_all_calls_and_outputs_counts(worse_call: int, worse_output: int) -> None:
    references = [{TOKENS.name: random(2, 5, 8, seed=call), "pooler_output": random(2, 8, seed=9)} for call in (0, 1)]
    outputs = [{name: array.copy() for name, array in reference.items()} for reference in references]
    for call, output in enumerate(outputs):
        for index, spec in enumerate(TWO):
            output[spec.name].flat[3] += 0.5 if (call, index) == (worse_call, worse_output) else 0.01
    agreement = measure(TWO, [SampleBatch({}, reference) for reference in references], outputs)
    name = TWO[worse_output].name
    largest = max(float(np.abs(reference[name]).max()) for reference in references)
    assert agreement.max_abs == pytest.approx(0.5, rel=1e-6)
    assert agreement.max_rel == pytest.approx(0.5 / largest, rel=1e-6)


def test_differences_are_a_share_of_the_largest_number_of_all_calls() -> None:
    large, small = np.array([[8.0, -1.0, 2.0]], np.float32), np.array([[1e-7, -2e-7, 3e-7]], np.float32)
    calls = [batch(LOGITS, large), batch(LOGITS, small)]
    agreement = measure([LOGITS], calls, [{"logits": large}, {"logits": small[:, ::-1]}])
    assert agreement.max_rel == pytest.approx(2e-7 / 8)
    assert classify(agreement, TOLERANCES[ParityClass.CLOSE]) is ParityClass.EXACT
    none = measure([LOGITS], calls, [{"logits": large}, {"logits": 0 * small}])
    assert classify(none, TOLERANCES[ParityClass.CLOSE]) is ParityClass.EXACT
    wrong = measure([LOGITS], calls, [{"logits": large}, {"logits": large}])
    assert classify(wrong, TOLERANCES[ParityClass.QUANTIZED]) is ParityClass.FAIL


def test_a_lone_score_near_zero_is_a_share_of_the_largest_of_all_calls() -> None:
    calls = [batch(SCORE, np.array([[5.0]], np.float32)), batch(SCORE, np.array([[0.001]], np.float32))]
    outputs = [{"logits": np.array([[5.0]], np.float32)}, {"logits": np.array([[0.002]], np.float32)}]
    evidence = collect_evidence(
        make_artifact(Precision.FP32), Samples(tuple(calls)), outputs, ParityTarget.of_outputs((SCORE,))
    )
    assert evidence.parity_class is ParityClass.CLOSE
    assert evidence.agreement.max_rel == pytest.approx(0.001 / 5, rel=1e-5)
    assert evidence.rows[1].max_rel == evidence.agreement.max_rel
    assert evidence.rows[1].cosine_min == evidence.agreement.cosine_min


def test_a_short_vector_still_has_its_direction() -> None:
    reference = np.array([[8.0, -1.0, 2.0], [1e-3, 0, 0]], np.float32)
    actual = np.array([[8.0, -1.0, 2.0], [0, 1e-3, 0]], np.float32)
    assert measure([LOGITS], [batch(LOGITS, reference)], [{"logits": actual}]).cosine_min == 0


def flipped(margin: float, largest: float, flips: int, rows: int = 20) -> tuple[Array, Array]:
    """Logits that tell two labels apart by a margin, and the same with the two exchanged in some rows."""
    reference = np.tile(np.array([largest * (1 - margin), largest, 0.0], np.float32), (rows, 1))
    actual = reference.copy()
    actual[:flips] = reference[:flips, [1, 0, 2]]
    return reference, actual


@pytest.mark.parametrize("largest", [0.01, 10.0, 1e4])
@pytest.mark.parametrize(
    ("margin", "flips", "expected"),
    [
        (5e-6, 20, ParityClass.EXACT),
        (9.5e-4, 20, ParityClass.CLOSE),
        (0.001, 20, ParityClass.QUANTIZED),
        (0.001, 1, ParityClass.QUANTIZED),
        (0.04, 20, ParityClass.QUANTIZED),
        (0.06, 2, ParityClass.QUANTIZED),
        (0.06, 3, ParityClass.FAIL),
        (0.06, 20, ParityClass.FAIL),
    ],
)
def test_an_argmax_that_the_reference_tells_apart_decides(
    margin: float, flips: int, expected: ParityClass, largest: float
) -> None:
    reference, actual = flipped(margin, largest, flips)
    agreement = measure([LOGITS], [batch(LOGITS, reference)], [{"logits": actual}])
    assert agreement.argmax_agreement == 1 - flips / 20
    assert classify(agreement, TOLERANCES[ParityClass.QUANTIZED]) is expected


@pytest.mark.parametrize(("flips", "expected"), [(1, ParityClass.CLOSE), (2, ParityClass.QUANTIZED)])
def test_one_decision_in_fifty_may_change_in_half_precision(flips: int, expected: ParityClass) -> None:
    reference, actual = flipped(0.002, 10, flips, rows=50)
    agreement = measure([LOGITS], [batch(LOGITS, reference)], [{"logits": actual}])
    assert classify(agreement, TOLERANCES[ParityClass.QUANTIZED]) is expected


def test_labels_that_change_places_are_not_close() -> None:
    reference, actual = (np.tile(np.array([logits], np.float32), (4, 1)) for logits in ([10, 10.01], [10.01, 10]))
    pair = TensorSpec("logits", DataType.F32, ("batch", 2))
    agreement = measure([pair], [batch(pair, reference)], [{"logits": actual}])
    assert agreement.max_rel < 0.02
    assert agreement.cosine_min > 0.9999
    assert classify(agreement, TOLERANCES[ParityClass.CLOSE]) is ParityClass.FAIL


def test_a_tie_does_not_excuse_a_third_label() -> None:
    reference = np.array([[10.0, 10.0, 8.0]] * 4, np.float32)
    either, third = (reference + np.array(shift, np.float32) for shift in ([0, 1e-4, 0], [0, 0, 2.1]))
    tolerance = Tolerance(None, -1.0, -1.0, order_min=1.0, tie=0.05)
    for actual, expected in ((either, ParityClass.CLOSE), (third, ParityClass.FAIL)):
        agreement = measure([LOGITS], [batch(LOGITS, reference)], [{"logits": actual}])
        assert classify(agreement, tolerance) is expected


@pytest.mark.parametrize(
    ("gap", "expected"), [(1e-4, ParityClass.CLOSE), (0.002, ParityClass.QUANTIZED), (0.06, ParityClass.FAIL)]
)
@pytest.mark.parametrize("largest", [0.01, 10.0])
def test_a_ranked_pair_that_the_reference_tells_apart_decides(
    gap: float, expected: ParityClass, largest: float
) -> None:
    reference, actual = (largest * np.array(scores, np.float32)[:, None] for scores in ([1 - gap, 1.0], [1.0, 1 - gap]))
    agreement = measure([SCORE], [batch(SCORE, reference)], [{"logits": actual}], ranks=True)
    assert agreement.ranking_agreement == 0
    assert classify(agreement, TOLERANCES[ParityClass.QUANTIZED]) is expected


def test_a_single_score_has_no_argmax() -> None:
    reference = np.array([[1.0], [2.0]], np.float32)
    assert measure([SCORE], [batch(SCORE, reference)], [{"logits": reference}]).argmax_agreement is None


def test_a_share_that_was_recorded_is_what_there_is_to_hold_an_agreement_to() -> None:
    reference, actual = flipped(0.1, 10, 20)
    tolerance = Tolerance(None, -1.0, -1.0, order_min=0.1)
    evidence = ArtifactEvidence.from_json(collect(reference, actual, tolerance).to_json())
    assert evidence.agreement.decisions is None
    assert not tolerance.accepts(evidence.agreement)
    assert Tolerance(None, -1.0, -1.0).accepts(evidence.agreement)


def test_int8_is_held_to_the_mean_cosine_as_well() -> None:
    reference = np.tile(np.array([[4.0, 0.0, 0.0]], np.float32), (6, 1))
    angle = np.arccos(0.99)
    actual = reference @ np.array(
        [[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]], np.float32
    )
    agreement = measure([LOGITS], [batch(LOGITS, reference)], [{"logits": actual}])
    assert (agreement.max_rel < 0.5, agreement.cosine_min > 0.98, agreement.argmax_agreement) == (True, True, 1.0)
    assert classify(agreement, TOLERANCES[ParityClass.QUANTIZED]) is ParityClass.FAIL


@pytest.mark.parametrize("precision", Precision)
def test_half_precision_must_be_close_and_int8_may_be_less(precision: Precision) -> None:
    reference = random(30, 3)
    actual = reference + np.float32(0.02) * random(30, 3, seed=1)
    samples, outputs = Samples((batch(LOGITS, reference),)), [{"logits": actual}]
    found = collect_evidence(make_artifact(precision), samples, outputs, OUTPUTS).parity_class
    assert found is (ParityClass.FAIL if precision in {Precision.FP32, Precision.FP16} else ParityClass.QUANTIZED)


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
    assert classify(agreement, TOLERANCES[least]) is expected


@pytest.mark.parametrize(
    ("shift", "expected"), [(0.0, ParityClass.EXACT), (1e-4, ParityClass.CLOSE), (0.3, ParityClass.FAIL)]
)
def test_single_scores_have_no_direction_and_are_compared_by_size(shift: float, expected: ParityClass) -> None:
    reference = np.array([[1.0], [-0.5], [0.25]], np.float32)
    agreement = measure([SCORE], [batch(SCORE, reference)], [{"logits": reference + np.float32(shift)}])
    assert classify(agreement, TOLERANCES[ParityClass.QUANTIZED]) is expected


def test_zeros_agree_with_zeros_alone() -> None:
    zeros = np.zeros((2, 3), np.float32)
    assert (
        classify(measure([LOGITS], [batch(LOGITS, zeros)], [{"logits": zeros}]), TOLERANCES[ParityClass.CLOSE])
        is ParityClass.EXACT
    )
    ones = measure([LOGITS], [batch(LOGITS, zeros)], [{"logits": zeros + 1}])
    assert classify(ones, TOLERANCES[ParityClass.QUANTIZED]) is ParityClass.FAIL


def test_nothing_to_compare_is_not_agreement() -> None:
    assert classify(measure([LOGITS], [], []), TOLERANCES[ParityClass.QUANTIZED]) is ParityClass.FAIL
    empty = np.zeros((0, 3), np.float32)
    assert (
        classify(measure([LOGITS], [batch(LOGITS, empty)], [{"logits": empty}]), TOLERANCES[ParityClass.CLOSE])
        is ParityClass.FAIL
    )


@pytest.mark.parametrize("factor", [-1.0, 0.1, 0.9, 1.1, 2.0])
def test_outputs_that_are_merely_scaled_are_not_close(factor: float) -> None:
    reference = random(4, 3)
    agreement = measure([LOGITS], [batch(LOGITS, reference)], [{"logits": reference * np.float32(factor)}])
    assert classify(agreement, TOLERANCES[ParityClass.CLOSE]) is ParityClass.FAIL
    assert (classify(agreement, TOLERANCES[ParityClass.QUANTIZED]) is ParityClass.QUANTIZED) == (0.9 <= factor <= 1.1)


def test_a_score_that_differs_by_rounding_is_exact() -> None:
    reference = np.array([[1.0], [-0.5]], np.float32)
    agreement = measure([SCORE], [batch(SCORE, reference)], [{"logits": reference + np.float32(4e-6)}])
    assert classify(agreement, TOLERANCES[ParityClass.CLOSE]) is ParityClass.EXACT


@pytest.mark.parametrize("reference", [{}, {"logits": np.full((2, 3), np.nan, np.float32)}])
def test_a_reference_that_says_nothing_agrees_with_nothing(reference: dict[str, Array]) -> None:
    agreement = measure([LOGITS], [SampleBatch({}, reference)], [{"logits": random(2, 3)}])
    assert classify(agreement, TOLERANCES[ParityClass.QUANTIZED]) is ParityClass.FAIL


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
            measure([LOGITS], [batch(LOGITS, reference * scale)], [{"logits": actual * scale}]),
            TOLERANCES[ParityClass.QUANTIZED],
        )
        for scale in (np.float32(1), np.float32(factor))
    }
    assert len(classes) == 1


def make_artifact(precision: Precision) -> Artifact:
    return Artifact("torch", "safetensors", precision, Layout.PADDED, {}, Signature((), (LOGITS,)), Path(), {})


OUTPUTS = ParityTarget.of_outputs((LOGITS,))


@given(scores=st.lists(st.integers(-5, 5), min_size=2, max_size=8), seed=st.integers(0, 9))
def test_ranking_agreement_is_the_share_of_pairs_in_the_same_order(scores: list[int], seed: int) -> None:
    other = np.random.default_rng(seed).permutation(scores)
    reference, actual = (np.array(each, np.float32)[:, None] for each in (scores, other))
    pairs = [(i, j) for i in range(len(scores)) for j in range(i) if scores[i] != scores[j]]
    same = [(scores[i] < scores[j]) == (other[i] < other[j]) and other[i] != other[j] for i, j in pairs]
    agreement = measure([SCORE], [batch(SCORE, reference)], [{"logits": actual}], ranks=True)
    assert agreement.argmax_agreement is None
    expected = sum(same) / len(same) if same else None
    assert agreement.ranking_agreement == (None if expected is None else pytest.approx(expected))


def test_rows_are_ranked_within_their_call() -> None:
    first, second = np.array([[1.0], [2.0]], np.float32), np.array([[4.0], [3.0]], np.float32)
    calls = [batch(SCORE, first), batch(SCORE, second)]
    same, turned = [{"logits": first}, {"logits": second}], [{"logits": first}, {"logits": second[::-1]}]
    assert measure([SCORE], calls, same, ranks=True).ranking_agreement == 1
    assert measure([SCORE], calls, turned, ranks=True).ranking_agreement == 0.5
    assert measure([SCORE], calls, same).ranking_agreement is None


def test_a_tie_that_comes_of_a_difference_is_not_agreement() -> None:
    reference, tied = np.array([[1.0], [2.0]], np.float32), np.array([[1.5], [1.5]], np.float32)
    assert measure([SCORE], [batch(SCORE, reference)], [{"logits": tied}], ranks=True).ranking_agreement == 0
    assert measure([SCORE], [batch(SCORE, tied)], [{"logits": reference}], ranks=True).ranking_agreement is None


def test_each_row_is_measured_by_itself() -> None:
    reference, mask = random(3, 5, 8), np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]])
    actual = reference.copy()
    actual[1, 1, 0] += 2
    actual[2, 1:] = np.nan
    rows = measure_rows([TOKENS], batch(TOKENS, reference, mask), {TOKENS.name: actual})
    assert [row.max_abs for row in rows] == [0, pytest.approx(2), 0]
    assert rows[1].cosine_min < 0.99 < min(rows[0].cosine_min, rows[2].cosine_min)


@given(count=st.integers(1, 6), seed=st.integers(0, 9), noise=st.sampled_from([0.0, 1e-3, 1.0]))
def test_the_worst_row_is_as_bad_as_the_call(count: int, seed: int, noise: float) -> None:
    reference = random(count, 3, seed=seed)
    actual = reference + np.float32(noise) * random(count, 3, seed=seed + 1)
    whole = measure([LOGITS], [batch(LOGITS, reference)], [{"logits": actual}])
    rows = measure_rows([LOGITS], batch(LOGITS, reference), {"logits": actual})
    assert len(rows) == count
    assert max(row.max_abs for row in rows) == whole.max_abs
    assert min(row.cosine_min for row in rows) == pytest.approx(whole.cosine_min)


def test_single_scores_are_measured_against_the_largest_of_their_call() -> None:
    reference = np.array([[0.001], [5.0]], np.float32)
    actual = np.array([[0.011], [2.0]], np.float32)
    rows = measure_rows([SCORE], batch(SCORE, reference), {"logits": actual})
    whole = measure([SCORE], [batch(SCORE, reference)], [{"logits": actual}])
    assert rows[1].cosine_min < rows[0].cosine_min
    assert rows[1].cosine_min == pytest.approx(whole.cosine_min)


@pytest.mark.parametrize(("dims", "shape"), [(("seq", 3), (4, 3)), ((2, 3), (2, 3)), ((), ())])
def test_a_call_without_rows_is_measured_as_one(dims: tuple[str | int, ...], shape: tuple[int, ...]) -> None:
    spec, reference = TensorSpec("x", DataType.F32, dims), random(*shape)
    (row,) = measure_rows([spec], batch(spec, reference), {"x": reference})
    assert row.max_abs == 0


def test_a_row_that_is_missing_leaves_the_whole_call_uncompared() -> None:
    (row,) = measure_rows([LOGITS], batch(LOGITS, random(3, 3)), {"logits": random(2, 3)})
    assert np.isinf(row.max_abs)


def collect(reference: Array, actual: Array, tolerance: Tolerance | None = None) -> ArtifactEvidence:
    samples = Samples((batch(LOGITS, reference[:1]), batch(LOGITS, reference[1:])))
    outputs = [{"logits": actual[:1]}, {"logits": actual[1:]}]
    return collect_evidence(make_artifact(Precision.BF16), samples, outputs, OUTPUTS, tolerance)


def test_the_rows_that_miss_are_named_worst_first() -> None:
    reference = random(5, 3)
    actual = reference.copy()
    actual[1] = -actual[1]
    actual[3] = actual[3, ::-1]
    evidence = collect(reference, actual)
    assert evidence.parity_class is ParityClass.FAIL
    assert [(row.call, row.row) for row in evidence.rows] == [(0, 0), (1, 0), (1, 1), (1, 2), (1, 3)]
    assert [(row.call, row.row) for row in evidence.missed_rows()] == [(1, 0), (1, 2)]
    assert [(row.call, row.row) for row in evidence.missed_rows(at_most=1)] == [(1, 0)]
    assert evidence.missed_rows()[0].max_abs == pytest.approx(2 * np.abs(reference[1]).max())


def test_no_row_misses_where_all_agree() -> None:
    reference = random(5, 3)
    assert collect(reference, reference).missed_rows() == ()


def missed(reference: Array, actual: Array, tolerance: Tolerance) -> list[tuple[int, int]]:
    evidence = collect(reference, actual, tolerance)
    assert evidence.parity_class is ParityClass.FAIL
    return [(row.call, row.row) for row in evidence.missed_rows()]


def test_the_rows_are_named_that_break_the_limit_themselves() -> None:
    reference = np.tile(np.array([[4.0, 0.5, 0.0]], np.float32), (5, 1))
    actual = reference.copy()
    actual[1, 1] = 0.8  # turned, by little
    actual[3] *= 1.3  # scaled: as far off as possible, but in the same direction
    actual[4] *= 1.2
    cosines = [row.cosine_min for row in collect(reference, actual).rows]
    assert cosines[1] < min(cosines[0], *cosines[2:])
    assert missed(reference, actual, Tolerance(0.1, 0.99, 0.99)) == [(1, 2), (1, 3)]
    assert missed(reference, actual, Tolerance(0.1, 0.9999, 0.9999)) == [(1, 0), (1, 2), (1, 3)]


def test_the_rows_are_named_that_decide_otherwise() -> None:
    reference, actual = flipped(0.01, 10, 0, rows=5)
    actual[2] = actual[2, [1, 0, 2]]
    actual[4, 2] += 0.5  # further off, but innocent
    assert missed(reference, actual, Tolerance(None, 0.9, 0.9, order_min=1.0)) == [(1, 1)]
    assert missed(reference, actual, Tolerance(0.02, 0.9, 0.9, order_min=0.5)) == [(1, 3)]


def test_no_row_is_named_where_only_their_order_misses() -> None:
    reference, actual = (np.array(scores, np.float32)[:, None] for scores in ([1, 1.01, 3], [1.01, 1, 3]))
    samples, parity_target = Samples((batch(SCORE, reference),)), ParityTarget.of_outputs((SCORE,), ranks=True)
    evidence = collect_evidence(make_artifact(Precision.FP32), samples, [{"logits": actual}], parity_target)
    assert evidence.agreement.ranking_agreement == pytest.approx(2 / 3)
    assert (evidence.parity_class, evidence.missed_rows()) == (ParityClass.FAIL, ())


def test_the_worst_row_is_named_where_only_the_mean_misses() -> None:
    reference = random(5, 3)
    actual = reference + np.float32(0.05) * random(5, 3, seed=1)
    evidence = collect(reference, actual, Tolerance(max_rel=None, cosine_mean=0.999999, cosine_min=0.9))
    assert evidence.parity_class is ParityClass.FAIL
    (row,) = evidence.missed_rows()
    assert row.cosine_min == min(item.cosine_min for item in evidence.rows)


@pytest.mark.parametrize(
    ("noise", "tolerance", "expected"),
    [
        (0.0, Tolerance(None, 0.999, 0.999), ParityClass.EXACT),
        (1e-3, Tolerance(None, 0.999, 0.999), ParityClass.CLOSE),
        (1e-3, Tolerance(1e-6, 0.999, 0.999), ParityClass.FAIL),
        (1e-3, Tolerance(None, 1.0, 0.999), ParityClass.FAIL),
        (1e-3, Tolerance(None, 0.999, 1.0), ParityClass.FAIL),
        (1.0, Tolerance(None, -1.0, -1.0), ParityClass.QUANTIZED),
    ],
)
def test_a_tolerance_decides_whether_it_fails_and_the_classes_how_well_it_agrees(
    noise: float, tolerance: Tolerance, expected: ParityClass
) -> None:
    reference = random(3, 20, 8)
    actual = reference + np.float32(noise) * random(3, 20, 8, seed=1)
    agreement = measure([TOKENS], [batch(TOKENS, reference)], [{TOKENS.name: actual}])
    assert classify(agreement, tolerance) is expected


def test_limits_that_are_not_stated_are_those_of_the_precision() -> None:
    reference, samples = random(5, 3), Samples((batch(LOGITS, random(5, 3)),))
    for precision in Precision:
        artifact, usual = make_artifact(precision), TOLERANCES[LEAST_CLASS[precision]]
        evidence = collect_evidence(artifact, samples, [{"logits": reference}], OUTPUTS, {"max_rel": 0.4})
        assert evidence.tolerance == replace(usual, max_rel=0.4)
    with pytest.raises(ConfigError, match="a tolerance has no limit 'speed'"):
        collect_evidence(artifact, samples, [{"logits": reference}], OUTPUTS, {"speed": 0.4})


def test_evidence_states_the_tolerance_that_it_was_held_to() -> None:
    reference, own = random(5, 3), Tolerance(None, 0.5, 0.25)
    assert collect(reference, reference, own).tolerance == own
    assert collect(reference, reference).tolerance == TOLERANCES[ParityClass.QUANTIZED]


def test_what_is_compared_is_what_the_reading_makes_of_it() -> None:
    reference = random(2, 3)
    samples = Samples((SampleBatch({"x": np.array([[2], [4]], np.float32)}, {"logits": reference}),))

    def read(inputs: Any, outputs: Any) -> dict[str, Array]:
        return {"logits": outputs["logits"] / inputs["x"]}

    found = [{"logits": reference + np.array([[0], [4]], np.float32)}]
    evidence = collect_evidence(make_artifact(Precision.BF16), samples, found, ParityTarget((LOGITS,), read))
    assert evidence.agreement.max_abs == pytest.approx(1)
    assert [row.max_abs for row in evidence.rows] == [0, pytest.approx(1)]


@pytest.mark.parametrize("ranks", [False, True])
@pytest.mark.parametrize("shift", [0.0, 0.01, np.nan])
def test_evidence_reads_back(shift: float, ranks: bool) -> None:
    reference = random(2, 3)
    samples = Samples((batch(LOGITS, reference),))
    outputs = [{"logits": reference + np.float32(shift)}]
    parity_target = ParityTarget.of_outputs((LOGITS,), ranks=ranks)
    evidence = collect_evidence(make_artifact(Precision.BF16), samples, outputs, parity_target)
    assert evidence.artifact == "torch/safetensors/bf16/padded"
    assert evidence.versions["torch"]
    assert len(evidence.rows) == 2
    written = json.loads(json.dumps(ParityReport((evidence,)).to_json(), allow_nan=False))
    assert ParityReport.from_json(written) == ParityReport((evidence,))


def test_evidence_from_before_rows_were_recorded() -> None:
    written = collect(random(5, 3), random(5, 3)).to_json()
    rows = [{name: row[name] for name in ("call", "row", "max_abs", "cosine_min")} for row in written["rows"]]
    del written["agreement"]["ranking_agreement"], written["tolerance"]["order_min"], written["tolerance"]["tie"]
    evidence = ArtifactEvidence.from_json({**written, "rows": rows})
    assert {(row.max_rel, row.argmax_agreement) for row in evidence.rows} == {(None, None)}
    assert (evidence.tolerance.order_min, evidence.tolerance.tie) == (0, 0)
    del written["rows"]
    evidence = ArtifactEvidence.from_json(written)
    assert (evidence.rows, evidence.missed_rows()) == ((), ())
    assert evidence.agreement.ranking_agreement is None


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
        {"tolerance": {**NUMBERS, "order_min": "most"}},
        {"versions": {"torch": 2}},
        {"machine": 3},
        {"agreement": {**NUMBERS, "ranking_agreement": "all"}},
        {"rows": {}},
        {"rows": None},
        {"rows": [3]},
        {"rows": [{"call": 0, "row": 0, "max_abs": 0.0}]},
        {"rows": [{"call": 0, "row": "0", "max_abs": 0.0, "cosine_min": 1.0}]},
        {"rows": [{"call": 0, "row": 0, "max_abs": 0.0, "cosine_min": None}]},
        {"rows": [{"call": 0, "row": 0, "max_abs": 0.0, "cosine_min": 1.0, "max_rel": "little"}]},
    ],
)
def test_malformed_evidence_is_refused(change: dict[str, Any]) -> None:
    reference = random(2, 3)
    samples, outputs = Samples((batch(LOGITS, reference),)), [{"logits": reference}]
    evidence = collect_evidence(make_artifact(Precision.FP32), samples, outputs, OUTPUTS)
    with pytest.raises(ManifestError):
        ArtifactEvidence.from_json({**evidence.to_json(), **change})


def test_an_output_that_the_samples_lack_agrees_with_nothing() -> None:
    reference = random(2, 3)
    renamed = TensorSpec("renamed", DataType.F32, LOGITS.dims)
    samples, outputs = Samples((batch(LOGITS, reference),)), [{"renamed": reference}]
    evidence = collect_evidence(make_artifact(Precision.FP32), samples, outputs, ParityTarget.of_outputs([renamed]))
    assert evidence.parity_class is ParityClass.FAIL


def test_infinities_agree_with_the_same_ones_in_the_same_places() -> None:
    masked = np.array([[1.0, -np.inf, 0.5], [2.0, 3.0, np.inf]], np.float32)
    finite = np.where(np.isinf(masked), np.float32(0), masked)

    def found(actual: np.ndarray) -> ParityClass:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            agreement = measure([LOGITS], [batch(LOGITS, masked)], [{"logits": actual}])
        return classify(agreement, TOLERANCES[ParityClass.CLOSE])

    assert found(masked.copy()) is ParityClass.EXACT
    assert found(masked + np.float32(1e-4)) is ParityClass.CLOSE
    assert found(np.where(finite == 2, np.float32(5), masked)) is ParityClass.FAIL
    for wrong in (finite, -masked, masked[:, ::-1], np.where(np.isinf(masked), np.nan, masked)):
        assert found(wrong.astype(np.float32)) is ParityClass.FAIL


def test_nan_agrees_with_nothing() -> None:
    broken = np.array([[1.0, np.nan, 0.5]], np.float32)
    agreement = measure([LOGITS], [batch(LOGITS, broken)], [{"logits": broken}])
    assert classify(agreement, TOLERANCES[ParityClass.QUANTIZED]) is ParityClass.FAIL


@pytest.mark.parametrize(("shape", "expected"), [((0, 3), ParityClass.EXACT), ((1, 3), ParityClass.FAIL)])
def test_an_output_without_elements_beside_another_is_compared_by_its_shape(
    shape: tuple[int, int], expected: ParityClass
) -> None:
    boxes = TensorSpec("boxes", DataType.F32, ("found", 3))
    outputs = {"logits": np.ones((2, 3), np.float32), "boxes": np.zeros((0, 3), np.float32)}
    call = SampleBatch({}, outputs)
    found = measure([LOGITS, boxes], [call], [outputs | {"boxes": np.zeros(shape, np.float32)}])
    assert classify(found, TOLERANCES[ParityClass.CLOSE]) is expected
