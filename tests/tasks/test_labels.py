"""Labels from a model's config."""

from __future__ import annotations

from typing import Any

import pytest

from inferox.core import ManifestError
from inferox.tasks.labels import read_label_options, read_labels


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, ["LABEL_0", "LABEL_1"]),
        ({"num_labels": 3}, ["LABEL_0", "LABEL_1", "LABEL_2"]),
        ({"id2label": {"1": "b", "0": "a"}}, ["a", "b"]),
        ({"id2label": {0: "a"}, "num_labels": 9}, ["a"]),
    ],
)
def test_labels_come_in_the_order_of_the_logits(config: dict[str, Any], expected: list[str]) -> None:
    assert read_labels(config) == expected


@pytest.mark.parametrize("named", [{"1": "a"}, {"a": "b"}, ["a"], {"0": "a", "2": "b"}])
def test_labels_that_are_not_numbered_from_0_are_refused(named: Any) -> None:
    with pytest.raises(ManifestError, match=r"'id2label' of config\.json must number the labels from 0"):
        read_labels({"id2label": named})


@pytest.mark.parametrize(
    ("config", "activation"),
    [
        ({"num_labels": 1}, "sigmoid"),
        ({"num_labels": 2}, "softmax"),
        ({"num_labels": 1, "problem_type": "regression"}, "identity"),
        ({"num_labels": 3, "problem_type": "multi_label_classification"}, "sigmoid"),
        ({"num_labels": 3, "problem_type": "single_label_classification"}, "softmax"),
    ],
)
def test_the_problem_type_decides_how_labels_are_scored(config: dict[str, Any], activation: str) -> None:
    assert read_label_options(config)["activation"] == activation
