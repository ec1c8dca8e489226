"""The distance between answers, the choice of requests, and the verdict on a canary."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import ConfigError
from inferox.engine.trials.drift import FARTHEST, default_limit, measure_drift
from inferox.engine.trials.options import Canary, Offer, parse_offers, parse_trial
from inferox.engine.trials.selection import RequestShare
from inferox.engine.trials.verdict import LATEST, LEAST, Verdict
from inferox.tasks.labels import LabelScore, Span

VECTORS = st.lists(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3), min_size=1, max_size=5)


@given(VECTORS, st.floats(0.1, 10))
def test_vectors_of_the_same_direction_do_not_drift(rows: list[list[float]], factor: float) -> None:
    vectors = np.array(rows)
    found = measure_drift(vectors, vectors * factor, tie=0.0)
    assert found.distance < 1e-9 or np.abs(vectors).max() < 1e-3  # negligible numbers have no direction
    assert found.rows == len(rows)
    assert found.max_abs == pytest.approx(np.abs(vectors * factor - vectors).max())


@given(VECTORS, VECTORS)
def test_a_distance_is_in_its_range(rows: list[list[float]], others: list[list[float]]) -> None:
    found = measure_drift(np.array(rows), np.array(others), tie=0.0)
    assert 0 <= found.distance <= FARTHEST
    if len(rows) != len(others):
        assert found.distance == FARTHEST


def labels(*scores: float) -> tuple[LabelScore, ...]:
    return tuple(sorted((LabelScore(f"L{i}", s) for i, s in enumerate(scores)), key=lambda part: -part.score))


@pytest.mark.parametrize(
    ("expected", "actual", "distance", "decisions", "same"),
    [
        ([labels(0.8, 0.2)], [labels(0.7, 0.3)], 0.1, 1, 1),
        ([labels(0.6, 0.4)], [labels(0.4, 0.6)], 0.2, 1, 0),
        ([labels(0.501, 0.499)], [labels(0.499, 0.501)], 0.002, 1, 1),  # it decides nothing
        ([(Span("A", 0.9, 0, 3, "abc"),)], [(Span("A", 0.8, 0, 3, "abc"),)], 0.1, 1, 1),
        ([(Span("A", 0.9, 0, 3, "abc"),)], [()], FARTHEST, 1, 0),
        ([4.0, 1.0], [3.0, 1.0], 0.25, 1, 1),
        ([4.0, 1.0], [1.0, 4.0], 0.75, 1, 0),
        ([4.0], [4.0], 0.0, 0, 0),
        ([{"x": np.array([[1.0, 0.0]])}], [{"x": np.array([[0.0, 1.0]])}], 1.0, 0, 0),
        ([np.eye(2)], [np.array([[1.0, 0.0], [0.0, -1.0]])], 2.0, 0, 0),  # of two tokens
        ([np.eye(2)], [np.eye(3)], FARTHEST, 0, 0),
        ([np.array([math.nan, 1.0])], [np.array([0.0, 1.0])], FARTHEST, 0, 0),
    ],
)
def test_drift_of_every_kind_of_answer(expected: Any, actual: Any, distance: float, decisions: int, same: int) -> None:
    found = measure_drift(expected, actual, tie=0.01)
    assert found.distance == pytest.approx(distance, abs=1e-9)
    assert (found.decisions, found.same_decisions) == (decisions, same)


def test_the_limit_follows_the_class_of_parity() -> None:
    limits = [default_limit(name, has_vectors=True) for name in ("exact", "close", "quantized", None)]
    assert limits == [1e-4, 1e-4, 0.02, 1e-4]
    assert default_limit("close", has_vectors=False) == 0.02


@given(st.floats(0.01, 1.0), st.integers(1, 500))
def test_requests_without_ids_are_taken_at_even_distances(share: float, count: int) -> None:
    chosen = RequestShare(share, "shadow")
    taken = sum(chosen.chooses(None) for _ in range(count))
    assert taken == math.floor(count * share)


@given(st.lists(st.text(), unique=True, max_size=50), st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_a_larger_share_has_all_of_a_smaller_one(ids: list[str], one: float, other: float) -> None:
    small, large = RequestShare(min(one, other), "canary"), RequestShare(max(one, other), "canary")
    assert all(large.chooses(name) for name in ids if small.chooses(name))
    assert all(RequestShare(1.0, "canary").chooses(name) for name in ids)


def test_ids_give_about_the_share_and_each_kind_its_own() -> None:
    ids = [f"req_{number}" for number in range(10_000)]
    shadow, canary = RequestShare(0.2, "shadow"), RequestShare(0.2, "canary")
    by_shadow, by_canary = ({name for name in ids if share.chooses(name)} for share in (shadow, canary))
    assert 1800 < len(by_shadow) < 2200
    assert 300 < len(by_shadow & by_canary) < 500


@given(st.lists(st.floats(0, 1), max_size=600), st.floats(0, 1))
def test_a_mean_above_the_limit_ends_a_canary_and_nothing_else(distances: list[float], limit: float) -> None:
    verdict = Verdict(limit, 1.0)
    for index, distance in enumerate(distances):
        last = distances[max(0, index + 1 - LATEST) : index + 1]
        mean = sum(last) / len(last)
        if abs(mean - limit) > 1e-9:
            assert (verdict.note_drift(distance) is not None) == (index + 1 >= LEAST and mean > limit)
        else:
            verdict.note_drift(distance)


@given(st.lists(st.booleans(), max_size=600), st.floats(0, 1))
def test_a_share_of_failures_above_the_limit_ends_a_canary(failed: list[bool], limit: float) -> None:
    verdict = Verdict(0.0, limit)
    for index, one in enumerate(failed):
        last = failed[max(0, index + 1 - LATEST) : index + 1]
        ends = verdict.note_request(failed=one) is not None
        assert ends == (len(last) >= LEAST and sum(last) > limit * len(last))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("onnxruntime=0.1", ("onnxruntime", None, 0.1)),
        ("openvino:int8=1", ("openvino", "int8", 1.0)),
        ("my-backend=.5", ("my-backend", None, 0.5)),
    ],
)
def test_what_the_command_line_says(text: str, found: tuple[str, str | None, float]) -> None:
    assert parse_trial(text, "--shadow") == found


@pytest.mark.parametrize(
    "text", ["", "onnxruntime", "onnxruntime=", "=0.1", "a:=0.1", "a=x", "a=nan", "a=-1", "a=1e-1"]
)
def test_invalid_options(text: str) -> None:
    with pytest.raises(ConfigError, match="--canary must be BACKEND=SHARE"):
        parse_trial(text, "--canary")


@pytest.mark.parametrize("values", [{"drift_limit": -1}, {"drift_limit": math.nan}, {"error_limit": 2}])
def test_limits_must_be_numbers_in_their_range(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="must be a number"):
        Canary(backend="onnxruntime", share=0.1, **values)  # type: ignore[arg-type]


def test_what_is_offered_is_read() -> None:
    assert parse_offers("onnxruntime, openvino:int8", "--x") == (
        Offer(backend="onnxruntime"),
        Offer(backend="openvino", precision="int8"),
    )
    for wrong in ("", "openvino=0.1", "openvino,", "openvino:", "auto"):
        with pytest.raises(ConfigError):
            parse_offers(wrong, "--x")
