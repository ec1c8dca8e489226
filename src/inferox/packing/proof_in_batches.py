"""Proving that inputs which are answered together have the answers that they have alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from inferox.batching import Row, pad_rows, split_rows
from inferox.core import BackendError, SourceModel
from inferox.packing.reference_model import ReferenceModel
from inferox.parity import TOLERANCES, ParityClass, ProofCase
from inferox.tasks import Task, agree, encode_input, to_json, with_prompt

_CLOSE = TOLERANCES[ParityClass.CLOSE]
"""What another order of summation may do, as in what the evidence calls batch invariant."""

_ROUNDING = 1e-4
"""How far an output may move in a batch, as a share of the largest, for a model that does not depend on the batch."""


def find_difference_in_batches(
    source: SourceModel, task: Task, cases: Sequence[ProofCase]
) -> tuple[ProofCase, str] | None:
    """Answers all inputs by one call for each prompt, which orders, pads and cuts apart rows as it does for users.

    Args:
        source: The model.
        task: The task of the package.
        cases: The inputs with the library's answers, each of which the task is known to answer alone.

    Returns:
        The first input that has another answer beside others, with the difference; ``None`` where there is none, or
        where the model itself depends on the batch, as the evidence says then.
    """
    by_prompt: dict[str | None, list[ProofCase]] = {}
    for case in cases:
        if case.input.answered:
            by_prompt.setdefault(case.input.prompt, []).append(case)
    ordered = [case for alike in by_prompt.values() for case in alike]
    model = ReferenceModel(source)
    answers: list[Any] = []
    try:
        for alike in by_prompt.values():
            answers += with_prompt(task, alike[0].input).run(model, [case.input.item for case in alike])
    except BackendError:
        # Some models do not take rows of several lengths, which the evidence of the artifacts says.
        return None
    given = [answer if isinstance(answer, np.ndarray) else to_json(answer) for answer in answers]
    found = agree([(case.answer, answer) for case, answer in zip(ordered, given, strict=True)], _CLOSE)
    if found.miss is None:
        return None
    index, reason = found.miss
    rows = [encode_input(task, case.input) for case in ordered]
    return None if _depends_on_batch(source, task, rows[index], rows) else (ordered[index], reason)


def _depends_on_batch(source: SourceModel, task: Task, row: Row, rows: Sequence[Row]) -> bool:
    """Whether the model itself gives a row other outputs beside the longest of all."""
    name = source.signature.inputs[0].name
    mate = max(rows, key=lambda other: len(other[name])) if task.fill else row

    def compute(together: Sequence[Row]) -> Any:
        padded = source.compute(pad_rows(together, source.signature, task.fill))
        return split_rows(padded, together, source.signature)[0]

    alone, beside = compute([row]), compute([row, mate])
    return any(
        float(np.abs(value - beside[output]).max(initial=0.0)) > _ROUNDING * float(np.abs(value).max(initial=0.0))
        for output, value in alone.items()
    )
