"""The agreement of the answers to many inputs with the expected ones, taken together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from inferox.parity import Tolerance
from inferox.tasks.answers import AnswerDifference, compare_answers, find_answer_scale


@dataclass(frozen=True)
class AnswerAgreement:
    """The agreement of answers with the expected ones, and whether it is sufficient.

    Attributes:
        max_rel: The largest finite difference of a number, as a share of the largest number of all answers.
        cosine_min: The smallest cosine between vectors; ``None`` if the answers are not vectors.
        order: The share of decisions that agree: the best label or the labelled spans of each text; for answers that
            are numbers, which of two is larger. ``None`` if nothing is decided.
        miss: The index of the first answer that misses the tolerance, and the reason; ``None`` if none does.
    """

    max_rel: float
    cosine_min: float | None
    order: float | None
    miss: tuple[int, str] | None


def agree(pairs: Sequence[tuple[Any, Any]], tolerance: Tolerance) -> AnswerAgreement:
    """Compares answers with the expected ones.

    Args:
        pairs: Pairs of the expected and the actual answer: vectors, shape ``[dimension]``; numbers; or labels with
            scores, as JSON values.
        tolerance: The tolerance that they must meet together.
    """
    scale = find_answer_scale([expected for expected, _ in pairs])
    compared = [compare_answers(expected, actual, scale=scale, tie=tolerance.tie) for expected, actual in pairs]
    cosines = [item.cosine for item in compared if item.cosine is not None]
    numbers = [(expected, actual) for expected, actual in pairs if _is_number(expected) and _is_number(actual)]
    order, exchanged = _rank(numbers, scale, tolerance.tie) if numbers else _decide(compared)
    miss = next((index for index, item in enumerate(compared) if not _is_near(item, tolerance)), None)
    reason = None
    if miss is not None:
        reason = f"expected {compared[miss].expected}, got {compared[miss].actual}"
    elif order is not None and order < tolerance.order_min:
        miss = exchanged
        reason = (
            f"{order:.1%} of the decisions are the same (the best label, the parts of a text, or which of two scores "
            f"is larger), and {tolerance.order_min:.1%} must be; here expected {compared[exchanged].expected}, "
            f"got {compared[exchanged].actual}"
        )
    return AnswerAgreement(
        max_rel=max((item.max_rel for item in compared if np.isfinite(item.max_rel)), default=0.0),
        cosine_min=min(cosines, default=None),
        order=order,
        miss=None if miss is None or reason is None else (miss, reason),
    )


def _is_near(found: AnswerDifference, tolerance: Tolerance) -> bool:
    """Returns whether one answer is near enough. Different spans have no distance: they count as decisions instead."""
    apart = np.isinf(found.max_rel) and not found.decisions
    # Not "greater": NaN is neither.
    near = tolerance.max_rel is None or found.max_rel <= tolerance.max_rel or apart
    return near and (found.cosine is None or found.cosine >= tolerance.cosine_min)


def _decide(compared: Sequence[AnswerDifference]) -> tuple[float | None, int]:
    """Returns the share of answers with the same decision, and the index of the first with another."""
    same = [item.decisions for item in compared]
    first = next((index for index, decision in enumerate(same) if not decision), 0)
    return (sum(same) / len(same) if same and compared[0].cosine is None else None), first


def _rank(numbers: Sequence[tuple[float, float]], scale: float, tie: float) -> tuple[float | None, int]:
    """Returns the share of pairs of numbers in the same order, and the number that is in most of the other pairs."""
    expected, actual = np.array(numbers, dtype=np.float64).T
    margins = expected[:, None] - expected[None, :]
    counted = margins > tie * scale
    if not counted.any():
        return None, 0
    exchanged = counted & ~(actual[:, None] > actual[None, :])
    return 1 - float(exchanged.sum() / counted.sum()), int((exchanged.sum(axis=0) + exchanged.sum(axis=1)).argmax())


def _is_number(answer: Any) -> bool:
    return isinstance(answer, int | float) and not isinstance(answer, bool)
