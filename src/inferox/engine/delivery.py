"""The delivery of answers or errors to requests."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter
from threading import Lock
from typing import Any

from inferox.core import InferoxError
from inferox.engine.answer import Answer
from inferox.engine.answer_cache import AnswerCache, own_answer
from inferox.engine.phases import Phases
from inferox.engine.request import Request, Row
from inferox.engine.shift import Shift
from inferox.engine.stats import StatsRecorder
from inferox.engine.unexpected import to_failure
from inferox.tasks import RawTask
from inferox.tasks.truncation import read_cut_tokens

_logger = logging.getLogger(__name__)


class Delivery:
    """Delivers answers to the requests for a model. Thread-safe.

    Args:
        name: The name of the model in the engine.
        version: Its version.
        end_row: Records that a row is computed, and returns the rows that are equal to it.
        cache: The answer cache.
        recorder: Counts rows that need not be computed.
    """

    def __init__(
        self,
        name: str,
        version: str,
        *,
        end_row: Callable[[Request, int], list[Row]],
        cache: AnswerCache,
        recorder: StatsRecorder,
    ) -> None:
        self._name = name
        self._version = version
        self._end_row = end_row
        self._cache = cache
        self._recorder = recorder
        self._lock = Lock()

    def deliver_kept(self, request: Request, shift: Shift) -> None:
        """Answers the rows of a request whose answers are cached. They stop waiting.

        Args:
            request: The request, which has keys.
            shift: The shift in which they must have been computed.
        """
        found = {row: kept for row in request.rows if (kept := self._cache.find(request.key_of(row), shift))}
        for row, (answer,) in found.items():
            request.drop(row)
            self._give([(request, row)], [answer], shift)
        if found:
            self._recorder.note_cached(len(found))

    def deliver(self, rows: Sequence[Row], answers: Sequence[Any], shift: Shift) -> list[Row]:
        """Delivers the answers to some rows of requests.

        Args:
            rows: The rows, grouped by request.
            answers: Their answers.
            shift: The shift in which they were computed.

        Returns:
            The rows that have to be computed again: others of their request were computed in a later shift, or they are
            equal to a row whose answer cannot be copied.
        """
        again, copied = list[Row](), list[tuple[Row, tuple[Any]]]()
        # Answers are copied before their first callers have them, who may change them.
        for index, (request, row) in enumerate(rows):
            if request.keys is None:
                continue
            # A later request finds the answer, or computes the row anew.
            if self._cache.is_on:
                self._cache.keep(request.key_of(row), answers[index], shift)
            for equal in self._end_row(request, row):
                if (own := own_answer(answers[index])) is None:
                    again.append(equal)
                else:
                    copied.append((equal, own))
        again += self._give(rows, answers, shift)
        for equal, own in copied:
            self._recorder.note_equal_row()
            again += self._give([equal], own, shift)
        return again

    def _give(self, rows: Sequence[Row], answers: Sequence[Any], shift: Shift) -> list[Row]:
        start, again = 0, list[Row]()
        for request, group in groupby(rows, itemgetter(0)):
            some = [row for _, row in group]
            try:
                with self._lock:
                    stale = request.add_answers(some, answers[start : start + len(some)], shift)
                    complete = request.complete_answers()
                again += [(request, row) for row in stale]
                if complete is not None:
                    self.answer(request, complete, shift)
            except Exception as error:
                _logger.exception("%s: reading an answer failed", self._name)
                request.fail(to_failure(f"reading the answer of {self._name!r}", error))
            start += len(some)
        return again

    def answer(self, request: Request, answers: Sequence[tuple[Sequence[int], Any]], shift: Shift) -> None:
        """Completes a request with its answer.

        Args:
            request: The request.
            answers: The answers of all its rows, batch by batch, with the items that they belong to.
            shift: The shift in which they were computed.
        """
        encoding, metadata, rows = request.encoding, shift.metadata, request.rows
        now_s = time.monotonic()
        begun_s = now_s if request.begun_s is None else request.begun_s
        results = encoding.task.collect(len(rows), answers)
        cut = [] if isinstance(encoding.task, RawTask) else read_cut_tokens(encoding.batch, rows)
        request.answer(
            Answer(
                results,
                self._name,
                self._version,
                metadata.artifact,
                None if request.options.unscaled or request.options.of_tokens else metadata.embedding_space,
                cut,
                sum(encoding.lengths[rows.start : rows.stop]),
                metadata.parity_class,
                begun_s - request.arrived_s,
                now_s - begun_s,
                Phases(encoding.made.began_s, encoding.made.ended_s, begun_s, now_s),
            )
        )

    def fail(self, row: Row, error: Exception) -> None:
        """Fails a request with an error that names its item.

        Args:
            row: The row to blame.
            error: The error that it causes.
        """
        request, place = row
        if not isinstance(error, InferoxError):
            _logger.error("%s: reading an answer failed", self._name, exc_info=error)
            error = to_failure(f"reading the answer of {self._name!r}", error)
        request.fail(error.at_item(place - request.rows.start))
        error.__traceback__ = None  # frames that have the error, which the copy does not keep
