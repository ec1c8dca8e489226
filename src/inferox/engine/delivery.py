"""Giving requests the answers to their rows, or an error."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from threading import Lock
from typing import Any

from inferox.core import ExecutionError, InferoxError, first_line
from inferox.engine.request import Request
from inferox.engine.shift import Shift

_logger = logging.getLogger(__name__)

Row = tuple[Request, int]


class Delivery:
    """Gives the requests for a model the answers to their rows. Several threads may use it.

    Args:
        name: The name of the model in the engine.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = Lock()

    def deliver(self, rows: Sequence[Row], answers: Sequence[Any], shift: Shift) -> list[Row]:
        """Gives requests the answers to some of their rows.

        Args:
            rows: The rows, those of a request together.
            answers: Their answers.
            shift: What computed them.

        Returns:
            The rows that have to be computed again, because others of their request were computed in a later shift.
        """
        start, again = 0, list[Row]()
        for request, group in groupby(rows, itemgetter(0)):
            some = [row for _, row in group]
            try:
                with self._lock:
                    stale = request.add_answers(some, answers[start : start + len(some)], shift)
                    complete = request.complete_answers()
                again += [(request, row) for row in stale]
                if complete is not None:
                    request.answer(request.encoding.task.collect(len(request.rows), complete))
            except Exception as error:
                _logger.exception("%s: reading an answer failed", self._name)
                request.fail(to_failure(f"reading the answer of {self._name!r}", error))
            start += len(some)
        return again

    def fail(self, row: Row, error: Exception) -> None:
        """Gives a request an error that names its item.

        Args:
            row: The row that is to blame.
            error: What it causes.
        """
        request, place = row
        if not isinstance(error, InferoxError):
            _logger.error("%s: reading an answer failed", self._name, exc_info=error)
            error = to_failure(f"reading the answer of {self._name!r}", error)
        request.fail(error.at_item(place - request.rows.start))


def to_failure(action: str, error: BaseException) -> InferoxError:
    """The error for a caller whose request failed in a way that nobody expects.

    Args:
        action: What failed.
        error: How.
    """
    failure = ExecutionError(f"{action} failed: {first_line(error)}")
    failure.__cause__ = error
    return failure
