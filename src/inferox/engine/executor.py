"""Computing the rows of a batch, so that no row's fault becomes another's."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from threading import Lock
from typing import Any

from inferox.batching import FIXED_COST, PACKED_COST, PADDED_COST, BatchBudget
from inferox.core import Batch, ExecutionError, InferoxError, Layout, OutOfMemoryError, first_line
from inferox.engine.config import EngineConfig
from inferox.engine.encoding import Encoding
from inferox.engine.faults import split_around_faults
from inferox.engine.request import Request
from inferox.engine.stats import ModelStats
from inferox.engine.throughput import Throughput
from inferox.engine.token_limit import TokenLimit
from inferox.loading import TaskModel
from inferox.tasks import RawTask

_logger = logging.getLogger(__name__)

Row = tuple[Request, int]


class BatchExecutor:
    """Computes rows with a model, and gives their requests the answers.

    Where memory is short, it computes them in smaller batches; where a batch fails, apart from the rows to blame.

    Args:
        name: The name of the model in the engine.
        loaded: The model.
        config: The settings of the engine.
    """

    def __init__(self, name: str, loaded: TaskModel, config: EngineConfig) -> None:
        self._name = name
        self._model = loaded.model
        self._takes_calls = isinstance(loaded.task, RawTask)
        self._limit = TokenLimit(config.max_batch_tokens)
        self._budget = _read_budget(loaded, config)
        self._throughput = Throughput()
        self._stats = ModelStats()
        self._lock = Lock()

    @property
    def stats(self) -> ModelStats:
        """What was computed so far."""
        return self._stats

    def budget(self) -> BatchBudget:
        """What a batch may hold now."""
        if not self._limit.is_lowered:
            return self._budget
        return replace(self._budget, tokens=min(self._budget.tokens, self._limit.tokens))

    def estimate_s(self, tokens: int) -> float | None:
        """The seconds that some tokens take, in all lanes together; ``None`` where that is not known.

        Args:
            tokens: Their number.
        """
        alone_s = self._throughput.estimate_s(tokens)
        return None if alone_s is None else alone_s / self._model.max_concurrency

    def compute(self, rows: Sequence[Row]) -> None:
        """Computes rows, and gives their requests the answers, or an error to those whose row is to blame.

        Args:
            rows: The rows of a batch.
        """
        left = list(rows)
        while left := [row for row in left if _is_needed(row)]:
            some = left[: self._count_fitting(left)]
            try:
                answers = self._answer_rows(some)
            except OutOfMemoryError as error:
                self._note_failure()
                if len(some) > 1:
                    _logger.warning("%s: %s; its rows are computed in smaller batches", self._name, error)
                    self._limit.lower(_count_places(some))
                    continue
                self._fail(some[0], error)
            except Exception as error:  # noqa: BLE001 - given to the caller whose row raises it
                self._note_failure()
                for part, found in split_around_faults(some, error, self._answer_in_halves, is_needed=_is_needed):
                    if isinstance(found, Exception):
                        self._fail(part[0], found)
                    else:
                        self._deliver(part, found)
            else:
                self._deliver(some, answers)
            left = left[len(some) :]

    def _answer_in_halves(self, rows: Sequence[Row]) -> Sequence[Any]:
        """Computes rows, in halves where memory is short: that is no fault of a row."""
        try:
            return self._answer_rows(rows)
        except OutOfMemoryError:
            if len(rows) == 1:
                raise
            self._limit.lower(_count_places(rows))
            middle = len(rows) // 2
            return [*self._answer_in_halves(rows[:middle]), *self._answer_in_halves(rows[middle:])]

    def _count_fitting(self, rows: Sequence[Row]) -> int:
        """How many of some rows fit into the memory, as far as that is known: all of them at first."""
        if _count_places(rows) <= self._limit.tokens or not self._limit.is_lowered:
            return len(rows)
        longest = 0
        for count, (request, row) in enumerate(rows):
            longest = max(longest, request.lengths[row])
            if count and (count + 1) * longest > self._limit.tokens:
                return count
        return len(rows)

    def _answer_rows(self, rows: Sequence[Row]) -> Sequence[Any]:
        """Computes rows, and reads their answers."""
        if self._takes_calls:
            ((request, row),) = rows
            began = time.perf_counter()
            answers_of_call = request.encoding.task.run(self._model, [request.encoding.items[row]])
            self._note_batch(request.encoding.batch.select([row]), time.perf_counter() - began)
            return list(answers_of_call)
        parts = [(encoding, [row for _, row in some]) for encoding, some in groupby(rows, _encoding_of)]
        batch = Batch.concatenate([encoding.batch.select(some) for encoding, some in parts])
        items = [request.encoding.items[row] for request, row in rows]
        began = time.perf_counter()
        outputs = self._model.compute(batch)
        # Texts with several prompts may share a batch, and are not pooled alike.
        answers = {task: task.decode(items, batch, outputs) for task in {encoding.task for encoding, _ in parts}}
        self._note_batch(batch, time.perf_counter() - began)
        if len(answers) == 1:
            found: Sequence[Any] = answers[parts[0][0].task]
            return found
        return [answers[request.encoding.task][index] for index, (request, _) in enumerate(rows)]

    def _note_batch(self, batch: Batch, seconds: float) -> None:
        self._throughput.learn(batch.token_count, seconds)
        self._limit.raise_slowly()
        with self._lock:
            known = self._stats
            self._stats = replace(
                known,
                batches=known.batches + 1,
                rows=known.rows + len(batch),
                tokens=known.tokens + batch.token_count,
                computing_s=known.computing_s + seconds,
            )

    def _note_failure(self) -> None:
        with self._lock:
            self._stats = replace(self._stats, failed_batches=self._stats.failed_batches + 1)

    def _deliver(self, rows: Sequence[Row], answers: Sequence[Any]) -> None:
        start = 0
        for request, group in groupby(rows, itemgetter(0)):
            some = [row for _, row in group]
            try:
                with self._lock:
                    complete = request.add_answers(some, answers[start : start + len(some)])
                if complete is not None:
                    request.answer(request.encoding.task.collect(len(request.rows), complete))
            except Exception as error:
                _logger.exception("%s: reading an answer failed", self._name)
                request.fail(to_failure(f"reading the answer of {self._name!r}", error))
            start += len(some)

    def _fail(self, row: Row, error: Exception) -> None:
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


def _read_budget(loaded: TaskModel, config: EngineConfig) -> BatchBudget:
    if isinstance(loaded.task, RawTask):
        return BatchBudget(1, 1)
    model, limits = loaded.model, loaded.model.limits
    if limits.is_fixed:
        return BatchBudget(sys.maxsize, limits.rows or 1, cost=FIXED_COST)
    rows = min(config.max_batch_rows, loaded.task.max_rows)
    is_padded = model.metadata.layout is Layout.PADDED
    cost = PADDED_COST if is_padded else PACKED_COST
    return BatchBudget(config.max_batch_tokens, min(rows, limits.rows or rows), is_padded, cost)


def _is_needed(row: Row) -> bool:
    return not row[0].is_over()


def _encoding_of(row: Row) -> Encoding:
    return row[0].encoding


def _count_places(rows: Sequence[Row]) -> int:
    """The places of a padded batch of rows, which is what memory is needed for."""
    return len(rows) * max(request.lengths[row] for request, row in rows)
