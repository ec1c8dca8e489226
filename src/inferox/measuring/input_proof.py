"""The repetition of a package's proof from a user's text or image, without the library that defines the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inferox.core import Model
from inferox.parity import TOLERANCES, ParityClass, ProofCase, Tolerance
from inferox.tasks import Task, agree, answer_cases, compare_row, encode_input, thin_tokens

_WINDOW = 16
"""The number of inputs per call, so that rows are batched as they are for a user."""


@dataclass(frozen=True)
class RepeatedProof:
    """The result of repeating a proof with one artifact.

    Attributes:
        inputs: The number of inputs compared.
        max_rel: The largest finite difference of an answer, as a share of the largest number of all answers.
        cosine_min: The smallest cosine between vectors; ``None`` if the answers are not vectors.
        order: The share of decisions that are the same: labels, spans of a text, or which of two scores is larger;
            ``None`` if nothing is decided.
        parity_class: The best class whose limits the answers meet; ``fail`` if they meet none.
        difference: The first input whose tokens differ or whose answer misses the tolerance; ``None`` if none does.
    """

    inputs: int
    max_rel: float
    cosine_min: float | None
    order: float | None
    parity_class: ParityClass
    difference: str | None

    def __str__(self) -> str:
        cosine = "" if self.cosine_min is None else f", min cosine {self.cosine_min:.6f}"
        order = "" if self.order is None else f", order {self.order:.1%}"
        beyond = "outside every class, as the tolerance of the package allows,"
        kept = beyond if self.parity_class is ParityClass.FAIL else f"within {self.parity_class.value}"
        which = "missed" if self.difference else kept
        return f"{which} on {self.inputs} inputs, max rel {self.max_rel:.1e}{cosine}{order}"

    def to_json(self) -> dict[str, Any]:
        """Returns the result as ``inferox verify --json`` shows it."""
        return {
            "inputs": self.inputs,
            "class": self.parity_class.value,
            "max_rel": self.max_rel,
            "cosine_min": self.cosine_min,
            "order": self.order,
            "difference": self.difference,
        }


def repeat_proof(task: Task, model: Model, cases: Sequence[ProofCase], tolerance: Tolerance) -> RepeatedProof:
    """Computes the inputs on which a package was proven, and compares the answers with the defining library's.

    They are computed several at a time, so that dependence on other rows of a batch shows too.

    Args:
        task: The task of the package.
        model: A loaded artifact, with the padded signature of its package.
        cases: The inputs, with the library's tokens and answers.
        tolerance: The tolerance that the answers must meet. The tokens must be equal in any case.

    Raises:
        RequestError: If the task does not take an input.
        BackendError: If the runtime fails.
    """
    different = _compare_tokens(task, cases)
    answered = [case for case in cases if case.input.answered and id(case) not in different]
    compared = list(answer_cases(task, model, answered, at_once=_WINDOW))
    pairs = [(case.answer, actual) for case, actual in compared]
    found = agree(pairs, tolerance)
    difference = next(iter(different.values()), None)
    if difference is None and found.miss is not None:
        index, reason = found.miss
        difference = f"{compared[index][0].input}: answer: {reason}"
    return RepeatedProof(
        len(cases),
        found.max_rel,
        found.cosine_min,
        found.order,
        ParityClass.FAIL if difference else _classify(pairs),
        difference,
    )


def _compare_tokens(task: Task, cases: Sequence[ProofCase]) -> dict[int, str]:
    """Finds the cases whose tokens differ, by identity, with the difference."""
    found = {}
    for case in cases:
        difference = compare_row(case.tokens, thin_tokens(encode_input(task, case.input)[0]))
        if difference is not None:
            found[id(case)] = f"{case.input}: {difference}"
    return found


def _classify(pairs: Sequence[tuple[Any, Any]]) -> ParityClass:
    reached = (name for name, limits in TOLERANCES.items() if agree(pairs, limits).miss is None)
    return next(reached, ParityClass.FAIL)
