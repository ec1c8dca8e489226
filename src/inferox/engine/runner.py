"""A loaded model with the requests that wait for it, and the threads that compute them."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from operator import itemgetter
from threading import Lock, Thread
from typing import Any

from inferox.batching import FIXED_COST, PACKED_COST, PADDED_COST, BatchBudget
from inferox.core import (
    Batch,
    Closing,
    DeadlineExceededError,
    ExecutionError,
    InferoxError,
    Layout,
    OutOfMemoryError,
    RequestError,
    first_line,
)
from inferox.engine.config import EngineConfig
from inferox.engine.encoding import Encoding, TickEncoder
from inferox.engine.faults import split_around_faults
from inferox.engine.model_info import ModelInfo
from inferox.engine.queue import Part, RequestQueue
from inferox.engine.request import Request, RequestOptions
from inferox.engine.stats import ModelStats
from inferox.engine.throughput import Throughput
from inferox.engine.token_limit import TokenLimit
from inferox.engine.turns import Turns, is_computing
from inferox.loading import TaskModel
from inferox.tasks import RawTask, Task
from inferox.tasks.task import as_list
from inferox.tasks.truncation import CutTokens, read_cut_tokens, report_truncation

_logger = logging.getLogger(__name__)

Row = tuple[Request, int]


@dataclass(frozen=True)
class Answer:
    """The answer to a request.

    Attributes:
        results: One result per item, in their order: a list, or for ``embed`` an array of vectors.
        model: The name of the model.
        version: Its version.
        artifact: The artifact that computed all of it.
        embedding_space: The id of the space in which vectors lie; ``None`` where that is not known.
        cut_tokens: What was cut off each text; empty where the items are not texts.
    """

    results: Any
    model: str
    version: str
    artifact: str
    embedding_space: str | None
    cut_tokens: Sequence[CutTokens] = ()


class ModelRunner(Closing):
    """Computes the requests for one model in batches of rows alike in length, whoever they come from.

    Args:
        name: The name of the model in the engine.
        version: Its version.
        loaded: The model; it is closed with this.
        config: The settings of the engine.
        turns: The turns on the model's device.
    """

    def __init__(self, name: str, version: str, loaded: TaskModel, config: EngineConfig, turns: Turns) -> None:
        self.name = name
        self.version = version
        self.loaded = loaded
        self._model = loaded.model
        self._turns = turns
        self._takes_calls = isinstance(loaded.task, RawTask)
        self._limit = TokenLimit(config.max_batch_tokens)
        self._budget = self._read_budget(config)
        self._queue = RequestQueue(max_tokens=config.max_waiting_tokens, lanes=self._model.max_concurrency)
        self._encoder = TickEncoder(self._model.signature)
        self._throughput = Throughput()
        self._tasks: dict[str | None, Task] = {None: loaded.task}
        self._stats = ModelStats()
        self._lock = Lock()
        self._threads: list[Thread] = []

    def make_request(self, items: Sequence[Any], options: RequestOptions, arrived_s: float) -> Request:
        """Makes the rows of a request.

        Args:
            items: The items.
            options: What the caller says of it.
            arrived_s: When it came, on the clock of ``time.monotonic``.

        Raises:
            RequestError: If an item cannot be computed.
        """
        given, task = _to_items(items), self._task_with(options.prompt)
        if self._takes_calls:
            return Request(Encoding.of_calls(task, given), range(len(given)), options=options, arrived_s=arrived_s)
        encoding = Encoding.of(task, given, self._model.signature)
        report_truncation(encoding.batch, options.truncate, stacklevel=5)
        return Request(encoding, range(len(given)), options=options, arrived_s=arrived_s)

    async def amake_request(self, items: Sequence[Any], options: RequestOptions, arrived_s: float) -> Request:
        """Makes the rows of a request together with those of other coroutines; see ``make_request``."""
        given, task = _to_items(items), self._task_with(options.prompt)
        if self._takes_calls:
            return Request(Encoding.of_calls(task, given), range(len(given)), options=options, arrived_s=arrived_s)
        encoding, rows = await self._encoder.encode(task, given)
        report_truncation(encoding.batch, options.truncate, rows=rows, stacklevel=4)
        return Request(encoding, rows, options=options, arrived_s=arrived_s)

    def compute(self, request: Request) -> None:
        """Computes a request on the caller's thread where nobody else waits, or else puts it into the queue.

        Args:
            request: The request.

        Raises:
            CapacityError: If it is refused.
            ExecutionError: If it comes from a model that is computing.
        """
        _refuse_if_computing()
        if request.is_over():
            return
        # Who has a deadline must be able to stop waiting.
        has_time = request.options.deadline_s is None
        parts = self._queue.take_alone(request, self._current_budget()) if has_time else None
        if parts is None:
            self.submit(request)
        else:
            self._compute_parts(parts)

    def submit(self, request: Request) -> None:
        """Puts a request into the queue.

        Args:
            request: The request.

        Raises:
            CapacityError: If it is refused.
            ExecutionError: If it comes from a model that is computing, or no thread can be started.
        """
        _refuse_if_computing()
        if request.is_over():
            return
        self._refuse_if_late(request)
        self._start_lanes()
        self._queue.add(request, estimate_s=self._estimate_s)

    def to_answer(self, request: Request, results: Any) -> Answer:
        """The answer to a request.

        Args:
            request: The request.
            results: What was computed for it.
        """
        metadata = self.loaded.metadata
        cut = [] if self._takes_calls else read_cut_tokens(request.encoding.batch, request.rows)
        return Answer(results, self.name, self.version, metadata.artifact, metadata.embedding_space, cut)

    def info(self) -> ModelInfo:
        """What the model is."""
        metadata, task = self.loaded.metadata, self.loaded.task
        return ModelInfo(
            self.name, self.version, task.name, metadata.artifact, metadata.device, metadata.embedding_space
        )

    def stats(self) -> ModelStats:
        """What the model does at the moment, and has done."""
        waiting_rows, waiting_tokens = self._queue.count_waiting()
        return replace(self._stats, waiting_rows=waiting_rows, waiting_tokens=waiting_tokens)

    def close(self) -> None:
        """Takes no more requests, waits until those that were taken are answered, and closes the model."""
        self._queue.close()
        self._queue.wait_until_idle()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()
        self.loaded.close()

    def _task_with(self, prompt: str | None) -> Task:
        if prompt not in self._tasks:
            self._tasks[prompt] = self.loaded.task.with_prompt(prompt or "")
        return self._tasks[prompt]

    def _read_budget(self, config: EngineConfig) -> BatchBudget:
        if self._takes_calls:
            return BatchBudget(1, 1)
        limits = self._model.limits
        if limits.is_fixed:
            return BatchBudget(sys.maxsize, limits.rows or 1, cost=FIXED_COST)
        rows = min(config.max_batch_rows, self.loaded.task.max_rows)
        is_padded = self._model.metadata.layout is Layout.PADDED
        cost = PADDED_COST if is_padded else PACKED_COST
        return BatchBudget(config.max_batch_tokens, min(rows, limits.rows or rows), is_padded, cost)

    def _current_budget(self) -> BatchBudget:
        if not self._limit.is_lowered:
            return self._budget
        return replace(self._budget, tokens=min(self._budget.tokens, self._limit.tokens))

    def _estimate_s(self, tokens: int) -> float | None:
        alone_s = self._throughput.estimate_s(tokens)
        return None if alone_s is None else alone_s / self._model.max_concurrency

    def _refuse_if_late(self, request: Request) -> None:
        if request.options.deadline_s is None:
            return
        needed_s = self._estimate_s(self._queue.count_waiting()[1] + request.waiting_tokens)
        left_s = request.deadline_s - time.monotonic()
        if needed_s is not None and needed_s > left_s:
            raise DeadlineExceededError(
                f"with what waits already it takes {needed_s:.2g} s, but the answer is needed within {left_s:.2g} s",
                hint="allow more time, or send less at once",
            )

    def _start_lanes(self) -> None:
        if len(self._threads) == self._model.max_concurrency:
            return
        with self._lock:
            while len(self._threads) < self._model.max_concurrency:
                thread = Thread(target=self._run_lane, name=f"inferox-{self.name}-{len(self._threads)}", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    if self._threads:
                        return  # those that there are compute everything
                    raise ExecutionError(f"no thread can be started for {self.name!r}: {error}") from error
                self._threads.append(thread)

    def _run_lane(self) -> None:
        """Computes batches until the queue is closed. Nothing ends it: callers would wait for ever."""
        while True:
            try:
                parts = self._queue.take(self._current_budget)
            except Exception as error:
                _logger.exception("%s: choosing a batch failed", self.name)
                self._queue.fail_all(partial(_failure, f"choosing a batch for {self.name!r}", error))
                continue
            if parts is None:
                return
            try:
                self._compute_parts(parts)
            except BaseException:
                _logger.exception("%s: computing a batch was interrupted", self.name)
            del parts  # or its requests, arrays and answers would live until the next batch

    def _compute_parts(self, parts: Sequence[Part]) -> None:
        try:
            with self._turns.of(self):
                self._compute_rows([(part.request, row) for part in parts for row in part.rows])
        except BaseException as error:
            for part in parts:
                part.request.fail(_failure(f"computing {self.name!r}", error))
            if not isinstance(error, Exception):
                raise
            _logger.exception("%s: computing a batch failed", self.name)
        finally:
            self._queue.end_batch()

    def _compute_rows(self, rows: Sequence[Row]) -> None:
        left = list(rows)
        while left := [row for row in left if _is_needed(row)]:
            some = left[: self._count_fitting(left)]
            try:
                answers = self._answer_rows(some)
            except OutOfMemoryError as error:
                self._note_failure()
                if len(some) > 1:
                    _logger.warning("%s: %s; its rows are computed in smaller batches", self.name, error)
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
                _logger.exception("%s: reading an answer failed", self.name)
                request.fail(_failure(f"reading the answer of {self.name!r}", error))
            start += len(some)

    def _fail(self, row: Row, error: Exception) -> None:
        request, place = row
        if not isinstance(error, InferoxError):
            _logger.error("%s: reading an answer failed", self.name, exc_info=error)
            error = _failure(f"reading the answer of {self.name!r}", error)
        request.fail(error.at_item(place - request.rows.start))


def _failure(action: str, error: BaseException) -> InferoxError:
    """The error for a caller whose request failed in a way that nobody expects."""
    failure = ExecutionError(f"{action} failed: {first_line(error)}")
    failure.__cause__ = error
    return failure


def _refuse_if_computing() -> None:
    if is_computing():
        raise ExecutionError(
            "a model asked the engine while it computes, and would wait for itself",
            hint="ask the other model's TaskModel, or ask before and after",
        )


def _to_items(items: Any) -> Sequence[Any]:
    if isinstance(items, str | bytes):
        raise RequestError("expected a list of items, and got a single one", hint="put it in a list")
    given = as_list(items)
    if getattr(given, "ndim", 1) == 0:
        raise RequestError("expected a list of items, and got an array without axes", hint="put it in a list")
    return given


def _is_needed(row: Row) -> bool:
    return not row[0].is_over()


def _encoding_of(row: Row) -> Encoding:
    return row[0].encoding


def _count_places(rows: Sequence[Row]) -> int:
    """The places of a padded batch of rows, which is what memory is needed for."""
    return len(rows) * max(request.lengths[row] for request, row in rows)
