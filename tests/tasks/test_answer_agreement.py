"""Answers are compared as a whole: their order counts as well as their numbers."""

from __future__ import annotations

import numpy as np
import pytest

from inferox.parity import TOLERANCES, ParityClass
from inferox.tasks import agree

_QUANTIZED = TOLERANCES[ParityClass.QUANTIZED]


def test_scores_that_rank_otherwise_miss() -> None:
    found = agree(list(zip([0.9, 0.6, 0.3], [0.41, 0.55, 0.79], strict=True)), _QUANTIZED)
    assert found.order == 0.0
    assert found.miss is not None
    assert "which of two scores" in found.miss[1]


def test_scores_that_keep_their_order_pass() -> None:
    found = agree(list(zip([0.9, 0.6, 0.3, 0.61], [0.8, 0.55, 0.2, 0.53], strict=True)), _QUANTIZED)
    assert (found.order, found.miss) == (1.0, None)  # 0.6 and 0.61 are nearer than a tie
    assert found.max_rel == pytest.approx(0.1)


def test_equal_scores_where_the_expected_ones_differ_are_another_order() -> None:
    assert agree([(0.9, 0.5), (0.1, 0.5)], _QUANTIZED).order == 0.0


def test_labels_that_decide_otherwise_are_counted() -> None:
    def labels(first: float) -> list[dict[str, object]]:
        return [{"label": "a", "score": first}, {"label": "b", "score": 1 - first}]

    same, other = (labels(0.8), labels(0.7)), (labels(0.8), labels(0.4))
    assert agree([*[same] * 19, other], _QUANTIZED).miss is None
    found = agree([same, other, same], _QUANTIZED)
    assert found.order == pytest.approx(2 / 3)
    assert found.miss is not None
    assert found.miss[0] == 1


def test_vectors_are_held_to_their_cosine() -> None:
    one, tilted = np.array([1.0, 0.0], np.float32), np.array([1.0, 0.3], np.float32)
    found = agree([(one, one), (one, tilted)], _QUANTIZED)
    assert (found.order, found.miss and found.miss[0]) == (None, 1)
    assert found.cosine_min == pytest.approx(0.957826, abs=1e-5)


def test_nothing_agrees() -> None:
    assert agree([], _QUANTIZED).miss is None


@pytest.mark.parametrize("parity_class", [ParityClass.EXACT, ParityClass.CLOSE])
def test_one_label_that_is_far_off_misses_however_many_others_agree(parity_class: ParityClass) -> None:
    def labels(first: float) -> list[dict[str, object]]:
        return [{"label": "a", "score": first}, {"label": "b", "score": 1 - first}]

    same, exchanged = (labels(0.7), labels(0.7)), (labels(0.7), labels(0.3))
    found = agree([*[same] * 64, exchanged], TOLERANCES[parity_class])
    assert found.miss is not None
    assert found.miss[0] == 64
