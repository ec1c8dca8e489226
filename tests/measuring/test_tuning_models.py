"""The artifacts that a tuning loads, their order, and the expected time."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import Artifact, Layout, Precision, Signature
from inferox.loading.planned_load import START_S
from inferox.loading.selection import Candidate
from inferox.measuring.tuning_models import LoadEstimates, order_loads

BACKENDS = (*START_S, "another")


def candidate_of(name: str, rejected: str | None = None) -> Candidate:
    backend, precision, layout = name.split("/")
    return Candidate(
        Artifact(backend, "onnx", Precision(precision), Layout(layout), {}, Signature((), ()), Path()), rejected
    )


def test_the_slowest_to_start_and_other_layouts_are_loaded_last() -> None:
    candidates = [
        candidate_of("openvino/fp32/packed"),
        candidate_of("openvino/fp32/padded"),
        candidate_of("torch/fp32/packed"),
        candidate_of("torch/fp32/padded"),
        candidate_of("onnxruntime/fp32/packed", rejected="it is not installed"),
        candidate_of("onnxruntime/fp32/padded"),
        candidate_of("openvino/bf16/packed"),
    ]
    assert [item.artifact.name for item in order_loads(candidates)] == [
        "openvino/onnx/fp32/packed",
        "onnxruntime/onnx/fp32/packed",
        "onnxruntime/onnx/fp32/padded",
        "openvino/onnx/bf16/packed",
        "openvino/onnx/fp32/padded",
        "torch/onnx/fp32/packed",
        "torch/onnx/fp32/padded",
    ]


def test_a_runtime_is_expected_to_be_slower_where_the_others_were() -> None:
    estimates = LoadEstimates()
    assert estimates.expect_s("torch") == START_S["torch"]
    assert estimates.expect_s("another") == 0.0
    estimates.note("openvino", 4 * START_S["openvino"])
    assert estimates.expect_s("torch") == pytest.approx(4 * START_S["torch"])
    estimates.note("onnxruntime", 3 * START_S["onnxruntime"])  # by the least factor
    assert estimates.expect_s("torch") == pytest.approx(3 * START_S["torch"])
    estimates.note("openvino", 0.5)  # its runtime is imported by now, which says nothing about others
    assert estimates.expect_s("openvino") == 0.5
    assert estimates.expect_s("torch") == pytest.approx(3 * START_S["torch"])


@given(st.lists(st.tuples(st.sampled_from(BACKENDS), st.floats(0.01, 100)), max_size=12))
def test_what_was_loaded_is_expected_to_take_as_long_again(noted: list[tuple[str, float]]) -> None:
    estimates = LoadEstimates()
    for backend, seconds in noted:
        estimates.note(backend, seconds)
    for backend, seconds in dict(noted).items():
        assert estimates.expect_s(backend) == seconds
    assert all(estimates.expect_s(backend) >= 0 for backend in BACKENDS)
