"""The proof that inputs computed together have the same answers as alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from inferox.core import BackendError, Batch, Outputs, SourceModel, pad_batch
from inferox.packing.reference_model import ReferenceModel
from inferox.parity import TOLERANCES, ParityClass, ProofCase
from inferox.tasks import Task, agree, answer_cases, encode_input

_CLOSE = TOLERANCES[ParityClass.CLOSE]
"""The tolerance for another order of summation, as for batch invariance in the evidence."""

_ROUNDING = 1e-4
"""The most that a batch may change an output, as a share of its largest value, if a model is batch invariant."""


def find_difference_in_batches(
    source: SourceModel, task: Task, cases: Sequence[ProofCase]
) -> tuple[ProofCase, str] | None:
    """Computes all inputs with one call per prompt, which orders, pads and splits rows as it does for users.

    Args:
        source: The model.
        task: The task of the package.
        cases: The inputs with the library's answers, which the task is known to match for each input alone.

    Returns:
        The first input with another answer in a batch, with the difference; ``None`` if there is none, or if the model
        itself depends on the batch, as the evidence then records.
    """
    answered = [case for case in cases if case.input.answered]
    try:
        compared = list(answer_cases(task, ReferenceModel(source), answered))
    except BackendError:
        # Some models do not take rows of several lengths, which the evidence of the artifacts records.
        return None
    found = agree([(case.answer, answer) for case, answer in compared], _CLOSE)
    if found.miss is None:
        return None
    index, reason = found.miss
    rows = [encode_input(task, case.input) for case, _ in compared]
    return None if _depends_on_batch(source, task, rows[index], rows) else (compared[index][0], reason)


def _depends_on_batch(source: SourceModel, task: Task, row: Batch, rows: Sequence[Batch]) -> bool:
    """Returns whether the model itself gives a row different outputs in a batch with the longest row."""
    mate = max(rows, key=lambda other: other.token_count) if task.pad_values else row

    def compute(batch: Batch) -> Any:
        return Outputs(source.compute(pad_batch(batch, source.signature)), source.signature, batch)[0]

    alone, beside = compute(row), compute(Batch.concatenate([row, mate]))
    return any(
        float(np.abs(value - beside[output]).max(initial=0.0)) > _ROUNDING * float(np.abs(value).max(initial=0.0))
        for output, value in alone.items()
    )
