"""Answers as columns: their names for each task, and their computation for a window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from inferox.bulk.rows import Column
from inferox.bulk.windows import Window
from inferox.bulk.writers.writer import EMBEDDING, TRUNCATED
from inferox.core import Model
from inferox.tasks import EmbedTask, Task, VectorForm, to_json
from inferox.tasks.labels import LabelScore

NOT_FINITE = "the model computed NaN or infinity"


@dataclass(frozen=True)
class Answered:
    """The rows of a window, ready to be written.

    Attributes:
        part: The number of their part.
        is_last: Whether the part ends with them.
        columns: The kept columns, and the answers: lists, pyarrow arrays, or vectors of shape ``[rows, numbers]``,
            which are zeros for rows with an error.
        errors: For each row the reason why it has no answer; ``None`` if it has one.
        cut: The number of texts that were cut.
        first_error: The first of the errors, with the name of its row.
    """

    part: int
    is_last: bool
    columns: dict[str, Column]
    errors: list[str | None]
    cut: int
    first_error: str | None = None


def answer_names(task: Task) -> tuple[str, ...]:
    """Returns the names of the answer columns of a task.

    Args:
        task: The task.
    """
    answers = {
        "embed": (EMBEDDING,),
        "classify": ("label", "score", "labels"),
        "token-classify": ("spans",),
        "rerank": ("score",),
    }
    return *answers[task.name], TRUNCATED


def compute_window(
    model: Model,
    task: Task,
    form: VectorForm,
    window: Window,
    *,
    keep: tuple[str, ...],
    batch_tokens: int,
    advance: Callable[[int], None],
) -> Answered:
    """Computes the answers of a window.

    The batches depend on nothing but the window.

    Args:
        model: The model.
        task: The task.
        form: The form of vectors.
        window: The rows.
        keep: The columns that are copied to the output.
        batch_tokens: The most tokens of a batch.
        advance: Called with the number of rows done since the last call, batch by batch.

    Raises:
        BackendError: If the runtime fails.
    """
    results: list[Any] = [None] * len(window.rows)
    advance(len(window.rows) - len(window.places))
    if window.batch is not None:
        for indices, decoded in task.compute_batches(model, window.items, window.batch, max_tokens=batch_tokens):
            for index, result in zip(indices, decoded, strict=True):
                results[window.places[index]] = result
            advance(len(indices))
    errors, truncated = list(window.errors), list[bool | None]([None] * len(window.rows))
    for place, cut in zip(window.places, window.truncated, strict=True):
        truncated[place] = cut
        if not _is_finite(results[place]):
            results[place], errors[place], truncated[place] = None, NOT_FINITE, None
    columns = {name: window.rows.columns[name] for name in keep} | _columns(task, form, results)
    columns[TRUNCATED] = truncated
    return Answered(window.part, window.is_last, columns, errors, sum(window.truncated))


def _columns(task: Task, form: VectorForm, results: list[Any]) -> dict[str, Column]:
    if isinstance(task, EmbedTask):
        vectors = np.zeros((len(results), task.dimension), np.float32)
        for place, vector in enumerate(results):
            if vector is not None:
                vectors[place] = vector
        return {EMBEDDING: form.apply(vectors)}
    if task.name == "rerank":
        return {"score": results}
    answers = [None if result is None else to_json(result) for result in results]
    if task.name == "token-classify":
        return {"spans": answers}
    best = [answer[0] if answer else {"label": None, "score": None} for answer in answers]
    return {"label": [each["label"] for each in best], "score": [each["score"] for each in best], "labels": answers}


def _is_finite(result: Any) -> bool:
    if isinstance(result, np.ndarray | float):
        return bool(np.isfinite(result).all())
    return all(np.isfinite(part.score) for part in result if isinstance(part, LabelScore) or hasattr(part, "score"))
