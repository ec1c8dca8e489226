"""The comparison of two answers of one task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_UNIT = 1.0
"""The largest possible score if scores are probabilities, and the smallest scale of differences."""


_SHORT = 1e-5
"""The length of a vector, as a share of the scale, up to which its direction is meaningless."""


@dataclass(frozen=True)
class AnswerDifference:
    """The difference between an answer and the expected one.

    Attributes:
        max_rel: The largest difference of a number, as a share of the scale; infinity if they cannot be compared.
        cosine: The cosine of the two vectors; ``None`` if the answers are not vectors.
        decisions: Whether the decision is the same: the best label, or the labelled spans of a text. Differences within
            the tolerated tie in the expected answer do not count as decisions.
        expected: The expected answer, shortened for display.
        actual: The actual answer, shortened for display.
    """

    max_rel: float
    cosine: float | None
    decisions: bool
    expected: str
    actual: str


def find_answer_scale(answers: Sequence[Any]) -> float:
    """Finds the scale of differences: the largest absolute number of all answers, and at least 1 for scores.

    Args:
        answers: Answers of one task: vectors, numbers, or lists of labels with scores, as JSON values.
    """
    # Relative to infinity every difference would vanish, and relative to NaN it would be undefined.
    vectors = [answer[np.isfinite(answer)] for answer in answers if isinstance(answer, np.ndarray)]
    if vectors:
        tiny = float(np.finfo(np.float32).tiny)
        return max([tiny, *(float(np.abs(vector).max(initial=0.0)) for vector in vectors)])
    numbers = [abs(number) for answer in answers for number in _scores(answer)]
    return max([_UNIT, *(number for number in numbers if math.isfinite(number))])


def is_finite_answer(answer: Any) -> bool:
    """Returns whether an answer has a form that can be compared, and all its numbers are finite.

    Args:
        answer: The answer: a vector, a number, or labels with scores, as JSON values.
    """
    if isinstance(answer, np.ndarray):
        return answer.ndim == 1 and bool(np.isfinite(answer).all())
    return _form(answer) is not None and all(math.isfinite(number) for number in _scores(answer))


def compare_answers(expected: Any, actual: Any, *, scale: float, tie: float) -> AnswerDifference:
    """Compares an answer with the expected one.

    Args:
        expected: A vector, shape ``[dimension]``; a number; or a list of labels with scores, each an object with
            ``label`` and ``score``, and for spans with ``start`` and ``end``.
        actual: The actual answer in the same form.
        scale: The number relative to which differences are stated; see ``find_answer_scale``.
        tie: The margin, as a share of the scale, up to which the expected answer decides nothing.
    """
    form = _form(expected)
    if form is None or form != _form(actual):
        return _difference(expected, actual, math.inf, decisions=True)
    if form == "vector":
        return _compare_vectors(expected, actual, scale)
    if not (is_finite_answer(expected) and is_finite_answer(actual)):
        return _difference(expected, actual, math.inf, decisions=True)
    if form == "number":
        return _difference(expected, actual, abs(actual - expected) / scale, decisions=True)
    if form == "spans":
        return _compare_spans(expected, actual, scale)
    return _compare_labels(expected, actual, scale, tie)


def _compare_vectors(expected: npt.NDArray[Any], actual: npt.NDArray[Any], scale: float) -> AnswerDifference:
    shapes = f"shape {list(expected.shape)}", f"shape {list(actual.shape)}"
    if expected.shape != actual.shape:
        return AnswerDifference(float("inf"), None, True, *shapes)
    wide, other = expected.astype(np.float64), actual.astype(np.float64)
    if not (np.isfinite(wide).all() and np.isfinite(other).all()):
        return AnswerDifference(float("inf"), None, True, _numbers(wide), _numbers(other))
    long, longer = sorted(float(np.linalg.norm(vector)) for vector in (wide, other))
    # Vectors that are negligible beside the others have no meaningful direction: their difference counts.
    nothing = longer <= _SHORT * scale
    cosine = 1.0 if nothing else float(wide @ other) / (long * longer) if long else 0.0
    return AnswerDifference(
        float(np.abs(wide - other).max(initial=0.0)) / scale, cosine, True, _numbers(wide), _numbers(other)
    )


def _compare_labels(
    expected: Sequence[Mapping[str, Any]], actual: Sequence[Mapping[str, Any]], scale: float, tie: float
) -> AnswerDifference:
    wanted = sorted(expected, key=lambda part: (part["label"], part["score"]))
    found = sorted(actual, key=lambda part: (part["label"], part["score"]))
    if [part["label"] for part in wanted] != [part["label"] for part in found]:
        # Different labels mean a different model, not a different decision.
        return _difference(expected, actual, math.inf, decisions=True)
    different = max((abs(a["score"] - b["score"]) for a, b in zip(wanted, found, strict=True)), default=0.0)
    ranked = sorted((part["score"] for part in expected), reverse=True)
    decided = len(ranked) > 1 and ranked[0] - ranked[1] > tie * scale
    best, taken = (max(parts, key=lambda part: part["score"])["label"] for parts in (expected, actual))
    return _difference(expected, actual, different / scale, decisions=not decided or best == taken)


def _compare_spans(
    expected: Sequence[Mapping[str, Any]], actual: Sequence[Mapping[str, Any]], scale: float
) -> AnswerDifference:
    places = [[(part["label"], part["start"], part["end"]) for part in parts] for parts in (expected, actual)]
    if places[0] != places[1]:
        return _difference(expected, actual, float("inf"), decisions=False)
    different = max((abs(a["score"] - b["score"]) for a, b in zip(expected, actual, strict=True)), default=0.0)
    return _difference(expected, actual, different / scale, decisions=True)


def _difference(expected: Any, actual: Any, max_rel: float, *, decisions: bool) -> AnswerDifference:
    return AnswerDifference(max_rel, None, decisions, _shorten(expected), _shorten(actual))


def _form(answer: Any) -> str | None:
    """Returns the form of an answer; ``None`` if no task gives such answers."""
    if isinstance(answer, np.ndarray):
        return "vector" if answer.ndim == 1 else None
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        return "number"
    if not isinstance(answer, list | tuple) or not all(
        isinstance(part, Mapping) and {"label", "score"} <= part.keys() for part in answer
    ):
        return None
    placed = [{"start", "end"} <= part.keys() for part in answer]
    # A text without any labelled span has an empty list; there is always at least one label.
    return "spans" if all(placed) else None if any(placed) else "labels"


def _scores(answer: Any) -> list[float]:
    if isinstance(answer, int | float):
        return [float(answer)]
    return [float(part["score"]) for part in answer] if isinstance(answer, list | tuple) else []


def _numbers(vector: npt.NDArray[Any]) -> str:
    listed = ", ".join(f"{number:.6g}" for number in vector.ravel()[:6])
    return f"[{listed}{', …' if vector.size > 6 else ''}]"  # noqa: PLR2004 - as many as a line holds


def _shorten(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"  # noqa: PLR2004 - as much as an error can hold
