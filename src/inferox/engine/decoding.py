"""The reading of answers from a model's outputs, and the border of what users' own classes raise meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any

from inferox.core import Batch, ExecutionError, Outputs, counted
from inferox.core.border import is_failure
from inferox.engine.unexpected import to_failure
from inferox.tasks import Task


def decode_rows(task: Task, items: Sequence[Any], batch: Batch, outputs: Outputs) -> Sequence[Any]:
    """Reads the answer of each row; see ``Task.decode``.

    Args:
        task: The task.
        items: The items of the rows.
        batch: The rows.
        outputs: The model's outputs for them.

    Raises:
        ExecutionError: If the task gives anything but one answer per row.
    """
    answers: Sequence[Any] = task.decode(items, batch, outputs)
    if isinstance(answers, str | bytes | Mapping) or not (
        hasattr(answers, "__len__") and hasattr(answers, "__getitem__")
    ):
        raise ExecutionError(
            f"the task {task.name} decodes {counted(len(items), 'row')} to a value of the type "
            f"{type(answers).__name__}, not to a list of answers"
        )
    if len(answers) != len(items):
        raise ExecutionError(
            f"the task {task.name} decodes {counted(len(items), 'row')} to {counted(len(answers), 'answer')}, "
            f"not to one answer per row"
        )
    return answers


@contextmanager
def converting_failures(action: str) -> Iterator[None]:
    """Converts what a block raises to errors that may be the fault of its rows.

    Laying out rows and decoding answers take memory as well. An error that is not an ``Exception``, such as
    ``SystemExit``, may be a request to stop, but only the main thread gets those.

    Args:
        action: The action of the block, for the error.
    """
    try:
        yield
    except BaseException as error:
        is_foreign = isinstance(error, MemoryError) or not isinstance(error, Exception)
        if is_foreign and (is_failure(error) or current_thread() is not main_thread()):
            raise to_failure(action, error) from error
        raise
