"""Repeating the proof of a package from a user's text or image on, without the library that defines the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inferox.core import Model
from inferox.package import ProofCase, Tolerance
from inferox.tasks import (
    Task,
    compare_answers,
    compare_row,
    encode_input,
    find_answer_scale,
    thin_tokens,
    to_json,
    with_prompt,
)


@dataclass(frozen=True)
class RepeatedProof:
    """What came of repeating a proof with one artifact.

    Attributes:
        inputs: How many inputs were compared.
        max_rel: The largest finite difference of an answer, as a share of the largest number of all answers.
        cosine_min: The least cosine of two answers that are vectors; ``None`` where they are not.
        difference: The first input whose tokens differ or whose answer misses the tolerance; ``None`` where none does.
    """

    inputs: int
    max_rel: float
    cosine_min: float | None
    difference: str | None


def repeat_proof(task: Task, model: Model, cases: Sequence[ProofCase], tolerance: Tolerance) -> RepeatedProof:
    """Answers the inputs that a package was proven on, and compares with what the defining library answered.

    Args:
        task: The task of the package.
        model: An artifact, loaded, with the padded signature of its package.
        cases: The inputs, with the library's tokens and answers.
        tolerance: What the answers must reach. The tokens must be equal whatever it allows.

    Raises:
        RequestError: If the task does not take an input.
        BackendError: If the runtime fails.
    """
    scale = find_answer_scale([case.answer for case in cases if case.input.answered])
    worst, least, first, undecided = 0.0, 1.0, None, 0
    for case in cases:
        found = compare_row(case.tokens, thin_tokens(encode_input(task, case.input)))
        if found is not None:
            first = first or f"{case.input}: {found}"
            continue
        if not case.input.answered:
            continue
        answer = with_prompt(task, case.input).run(model, [case.input.item])[0]
        actual = answer if isinstance(answer, np.ndarray) else to_json(answer)
        compared = compare_answers(case.answer, actual, scale=scale, tie=tolerance.tie)
        cosine = 1.0 if compared.cosine is None else compared.cosine
        least = min(least, cosine)
        undecided += not compared.decisions
        if np.isfinite(compared.max_rel):
            worst = max(worst, compared.max_rel)
        # Answers that decide otherwise, such as by another label, are counted, as some may.
        far = tolerance.max_rel is not None and not compared.max_rel <= tolerance.max_rel and compared.decisions
        if far or not cosine >= tolerance.cosine_min:
            first = first or f"{case.input}: answer: expected {compared.expected}, got {compared.actual}"
    answered = sum(case.input.answered for case in cases)
    if answered and 1 - undecided / answered < tolerance.order_min:
        first = first or f"{undecided} of {answered} answers decide otherwise: another label, or other parts of a text"
    vectors = any(isinstance(case.answer, np.ndarray) for case in cases)
    return RepeatedProof(len(cases), worst, least if vectors else None, first)
