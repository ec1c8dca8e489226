"""The distance between the answers of two artifacts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from inferox.parity import TOLERANCES, ParityClass, Tolerance
from inferox.tasks.answers import AnswerDifference, compare_answers, find_answer_scale
from inferox.tasks.results import to_json

FARTHEST = 2.0
"""The drift of vectors that point in opposite directions, and of answers that cannot be compared."""


@dataclass(frozen=True)
class Drift:
    """The distance between two artifacts' answers to a request.

    Attributes:
        distance: For vectors, the largest value of 1 - cosine; for scores and other numbers, the largest difference, as
            a share of the largest number (at least 1 for scores). From 0 to 2, which also stands for answers that
            cannot be compared.
        max_abs: The largest difference of two numbers.
        cosine_min: The smallest cosine of two vectors; ``None`` if the answers are not vectors.
        decisions: The number of decisions: the best label of each item, its labelled spans, or which of several scores
            is the highest. Differences within the tolerance's tie are not decisions.
        same_decisions: The number of decisions that are the same.
        rows: The number of items compared.
    """

    distance: float
    max_abs: float
    cosine_min: float | None
    decisions: int
    same_decisions: int
    rows: int


def find_tolerance(parity_class: str | None) -> Tolerance:
    """Finds the tolerance for answers: ``exact`` and ``close`` share a space, and are both held to ``close``.

    Args:
        parity_class: The artifact's parity class; ``None`` if that is not known.
    """
    is_quantized = parity_class == ParityClass.QUANTIZED.value
    return TOLERANCES[ParityClass.QUANTIZED if is_quantized else ParityClass.CLOSE]


def default_limit(parity_class: str | None, *, has_vectors: bool) -> float:
    """Returns the default limit of drift; see ``Drift.distance``.

    Args:
        parity_class: As for ``find_tolerance``.
        has_vectors: Whether the answers are vectors.
    """
    tolerance = find_tolerance(parity_class)
    limit = 1 - tolerance.cosine_min if has_vectors or tolerance.max_rel is None else tolerance.max_rel
    return round(limit, 9)  # removes the rounding error of the subtraction


def measure_drift(expected: Any, actual: Any, *, tie: float) -> Drift:
    """Compares the results of a request.

    Args:
        expected: The results of one artifact, one per item, as in ``Answer.results``.
        actual: The results of the other.
        tie: The margin, as a share of the largest number, up to which a difference does not count as a decision.
    """
    rows = len(expected)
    wanted = [list(_parts(result)) for result in expected]
    found = [list(_parts(result)) for result in actual]
    if [len(parts) for parts in wanted] != [len(parts) for parts in found]:
        return Drift(FARTHEST, math.inf, None, 0, 0, rows)
    first, second = list(chain.from_iterable(wanted)), list(chain.from_iterable(found))
    scale = find_answer_scale(first)
    compared = [compare_answers(one, other, scale=scale, tie=tie) for one, other in zip(first, second, strict=True)]
    cosines = [item.cosine for item in compared if item.cosine is not None]
    decided = list(_decide(first, second, compared, tie * scale))
    return Drift(
        max((_distance(item) for item in compared), default=0.0),
        max((item.max_rel * scale for item in compared), default=0.0),
        min(cosines, default=None),
        len(decided),
        sum(decided),
        rows,
    )


def _parts(result: Any) -> Iterator[Any]:
    """Yields the parts of a result that are compared: vectors, numbers, or labels with their scores."""
    if isinstance(result, np.ndarray) and result.ndim > 1:  # one vector per token
        yield from result.reshape(-1, result.shape[-1])
    elif isinstance(result, np.ndarray):
        yield result
    elif isinstance(result, Mapping):  # named tensors
        yield from (np.asarray(result[name]).reshape(-1) for name in sorted(result))
    else:
        yield to_json(result)


def _distance(found: AnswerDifference) -> float:
    distance = found.max_rel if found.cosine is None else 1 - found.cosine
    return min(FARTHEST, max(0.0, distance))


def _decide(
    expected: Sequence[Any], actual: Sequence[Any], compared: Sequence[AnswerDifference], tie: float
) -> Iterator[bool]:
    """Yields whether each decision is the same."""
    if not expected or isinstance(expected[0], np.ndarray):
        return
    if not isinstance(expected[0], int | float):
        yield from (item.decisions for item in compared)
    elif len(expected) > 1 and all(isinstance(score, int | float) for score in actual):
        best, next_best = sorted(expected, reverse=True)[:2]
        if best - next_best > tie:
            yield actual[expected.index(best)] == max(actual)
