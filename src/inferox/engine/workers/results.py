"""The conversion of answers to messages and back, with the results of every task."""

from __future__ import annotations

from typing import Any

import numpy as np

from inferox.core import ExecutionError
from inferox.engine.answer import Answer
from inferox.engine.workers.messages import Answered, AnsweredLabels, AnsweredSpans
from inferox.tasks.truncation import CutTokens

_KINDS: dict[str, type[Answered]] = {
    "embed": Answered,
    "rerank": Answered,
    "raw": Answered,
    "classify": AnsweredLabels,
    "image-classify": AnsweredLabels,
    "token-classify": AnsweredSpans,
}
"""The kind of results of each task of a package; results of other tasks are inspected."""

_PLAIN = (str, int, float, bytes, np.ndarray, np.generic, type(None))


def to_answered(call: int, task: str, answer: Answer) -> Answered:
    """Converts an answer to a message.

    Args:
        call: The number of the call.
        task: The name of the task whose results it has.
        answer: The answer.

    Raises:
        ExecutionError: If the results contain something that would not arrive unchanged.
    """
    if task not in _KINDS:
        _refuse_foreign(answer.results)
    cut = {index: (tokens.count, tokens.is_least) for index, tokens in enumerate(answer.cut_tokens) if tokens.count}
    return _KINDS.get(task, Answered)(
        call,
        answer.results,
        answer.artifact,
        answer.embedding_space,
        len(answer.cut_tokens),
        cut,
        answer.tokens,
        answer.parity_class,
        answer.queue_s,
        answer.compute_s,
        answer.phases,
    )


def to_answer(message: Answered, name: str, version: str) -> Answer:
    """Restores an answer from a message.

    Args:
        message: The result of ``to_answered``.
        name: The name of the model.
        version: Its version.
    """
    whole = CutTokens()
    cut = [CutTokens(*message.cut[index]) if index in message.cut else whole for index in range(message.texts)]
    return Answer(
        message.results,
        name,
        version,
        message.artifact,
        message.embedding_space,
        cut,
        message.tokens,
        message.parity_class,
        message.queue_s,
        message.compute_s,
        message.phases,
    )


def _refuse_foreign(value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _refuse_foreign(item)
    elif isinstance(value, dict):
        for item in value.values():
            _refuse_foreign(item)
    elif not isinstance(value, _PLAIN):
        raise ExecutionError(
            f"the results of the task hold a {type(value).__name__}, which cannot leave a worker process",
            hint="give numbers, texts, arrays, and lists and dicts of them, or use isolation='thread'",
        )
