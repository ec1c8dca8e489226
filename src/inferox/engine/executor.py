"""The computation of rows with an artifact, with faults isolated to the rows that cause them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any

from inferox.batching import BatchBudget, read_budget
from inferox.core import SEQUENCE, Batch, InputTooLargeError, Layout, NonFiniteOutputError, Trace, span
from inferox.engine.artifact_cost import CostBook
from inferox.engine.batch_memory import BatchMemory, memory_shape, output_shape
from inferox.engine.config import EngineConfig
from inferox.engine.decoding import converting_failures, decode_rows
from inferox.engine.delivery import Delivery
from inferox.engine.encoding import Encoding
from inferox.engine.faults import split_around_faults
from inferox.engine.finiteness import find_non_finite, is_finite
from inferox.engine.fitting import FittingBatches, divide_rows
from inferox.engine.memory_budget import MemoryBudget
from inferox.engine.request import Request, Row
from inferox.engine.shift import Shift
from inferox.engine.stats import StatsRecorder
from inferox.engine.suspicion import Suspicion
from inferox.engine.token_limit import TokenLimit
from inferox.engine.tracing import tracing_batch
from inferox.engine.watch import Watch
from inferox.engine.workload import Workload
from inferox.loading import TaskModel
from inferox.machine.memory import release_free_memory
from inferox.tasks import RawTask

HandOver = Callable[[Callable[[], Sequence[Row]]], bool]
"""Hands a delivery to another thread, if that is free; returns whether it was. The delivery itself returns the rows
that have to be computed again."""


class BatchExecutor:
    """Computes rows with an artifact for one shift, and delivers the answers to their requests.

    If memory is short, it computes them in smaller batches. If a batch fails, it computes the rows apart from those to
    blame, unless the artifact itself is to blame.

    Args:
        name: The name of the model in the engine.
        loaded: The artifact.
        number: The number of the shift.
        config: The settings of the engine.
        delivery: Delivers answers to requests.
        recorder: Counts what is computed.
        costs: The learned cost of batches.
        memory: The memory budget of the engine.
        trace: Records events; ``None`` for no trace.
        watch: Told of what is computed and checked; ``None`` for no watch.
        check: Computes the stored samples with the artifact, and raises an error if that fails; ``None`` if there are
            none.

    Attributes:
        loaded: The artifact, which may be closed and loaded again between batches.
        shift: The shift.
        suspicion: Decides whether the artifact is to blame.
    """

    def __init__(
        self,
        name: str,
        loaded: TaskModel,
        number: int,
        *,
        config: EngineConfig,
        delivery: Delivery,
        recorder: StatsRecorder,
        costs: CostBook,
        memory: MemoryBudget,
        trace: Trace | None = None,
        watch: Watch | None = None,
        check: Callable[[TaskModel], None] | None = None,
    ) -> None:
        self.loaded = loaded
        self.shift = Shift(number, loaded.metadata)
        self._watch = watch or Watch()
        self.suspicion = Suspicion(None if check is None else partial(_check_samples, check, self._watch))
        self._name = name
        self._limit = TokenLimit(config.max_batch_tokens)
        self._is_fixed = not isinstance(loaded.task, RawTask) and loaded.model.limits.is_fixed
        self._budget = _read_budget(loaded, config)
        shape = memory_shape(loaded.signature)
        self._cost = costs.of(self.shift.metadata.artifact, self._budget.cost, shape)
        self._memory = BatchMemory(
            self._cost,
            memory,
            self.shift.metadata.device,
            outputs=output_shape(loaded.signature, has_tokens=_has_tokens(loaded)),
            weights_bytes=loaded.model.memory_requirements().weights_bytes,
            subject=_subject_of(loaded),
            fixed_rows=self._budget.rows if self._is_fixed else None,
        )
        self._refuses_non_finite = config.refuse_non_finite
        self._delivery = delivery
        self._recorder = recorder
        self._trace = trace

    @property
    def lanes(self) -> int:
        """The number of batches that it computes concurrently."""
        return self.loaded.model.max_concurrency

    def close_for_now(self) -> None:
        """Closes the artifact, which must be loaded again before the next batch."""
        self.loaded.close()
        release_free_memory()
        self._memory.forget_kept()

    def budget(self) -> BatchBudget:
        """The current limits of a batch."""
        if not self._limit.is_lowered:
            return self._budget
        return replace(self._budget, tokens=min(self._budget.tokens, self._limit.tokens))

    def fit(self, batches: Sequence[Sequence[Row]]) -> list[Sequence[Row]]:
        """Divides batches that were made for another artifact and have more rows than this one takes.

        Args:
            batches: The batches.
        """
        most = self.budget().rows
        return [part for batch in batches for part in ([batch] if len(batch) <= most else self.divide(batch))]

    def divide(self, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        """Divides rows into batches within the limits; see ``divide_rows``.

        Args:
            rows: The rows.
        """
        return divide_rows(rows, self.budget())

    def estimate_s(self, work: Workload) -> float | None:
        """Estimates the seconds that rows take, in all lanes together; ``None`` if that is not known.

        Args:
            work: The work of the rows.
        """
        found = self._cost.estimate_s(work, self.budget())
        return None if found is None else found[0] / min(self.loaded.model.max_concurrency, found[1])

    def refuse_hopeless(self, request: Request) -> None:
        """Refuses a request with a row that can never have enough memory.

        Args:
            request: The request.

        Raises:
            InputTooLargeError: If there is such a row; the error's ``item`` is its index.
        """
        is_raw = isinstance(request.encoding.task, RawTask)
        # Of rows alike, the longest needs most; a call needs what it is made of.
        rows = request.rows if is_raw else [max(request.rows, key=request.lengths.__getitem__)]
        for row in rows:
            try:
                self._memory.refuse_hopeless(self._work_of([(request, row)]))
            except InputTooLargeError as error:
                raise error.at_item(row - request.rows.start) from None

    def compute(self, rows: Sequence[Row], hand_over: HandOver = lambda _: False) -> Sequence[Row]:
        """Computes rows and delivers the answers, or an error to requests whose rows are to blame.

        Args:
            rows: The rows of a batch.
            hand_over: May have another thread deliver the answers.

        Returns:
            The rows that have to be computed again: all that are left if the artifact is to blame, and those that were
            computed in an earlier shift than others of their request. None if ``hand_over`` took the delivery, which
            returns them then.
        """
        again = list[Row]()
        while needed := [row for row in rows if _is_needed(row)]:
            try:
                answers, short = self._fitting.compute(needed)
            except Exception as error:  # noqa: BLE001 - given to the caller whose row raises it
                self._recorder.note_failure()
                return [*again, *self._compute_apart(needed, error)]
            deliver = partial(self._deliver, needed[: len(answers)], answers)
            if short is None:
                return again if not again and hand_over(deliver) else [*again, *deliver()]
            self._recorder.note_failure()
            again += [*deliver(), *self._blame(needed[len(answers)], short)]
            rows = needed[len(answers) + 1 :]
        return again

    @property
    def _fitting(self) -> FittingBatches:
        """Made for each batch: kept, the two would hold each other, and with them the package's files."""
        return FittingBatches(
            self._name,
            self._answer_rows,
            self._work_of,
            # Fewer rows of a fixed number save no memory: only the batch that failed is divided, and no later ones.
            limit=TokenLimit(self._budget.tokens) if self._is_fixed else self._limit,
            memory=self._memory,
            recorder=self._recorder,
        )

    def _compute_apart(self, rows: Sequence[Row], error: Exception) -> list[Row]:
        """Computes rows that failed together, except those to blame, unless the artifact is; see ``compute``."""
        if self.suspicion.confirm(error, self.loaded):
            return list(rows)
        if len(rows) > 1:
            self._recorder.note_split()
        left, again = list(rows), list[Row]()
        for part, found in split_around_faults(rows, error, self._fitting.compute_all, is_needed=_is_needed):
            if not isinstance(found, Exception):
                again += self._deliver(part, found)
            elif self.suspicion.confirm(found, self.loaded):  # it may have broken in the meantime
                return [*again, *left]
            else:
                again += self._blame(part[0], found)
            left = [row for row in left if row not in part]
        return again

    def _blame(self, row: Row, error: Exception) -> Sequence[Row]:
        """Fails the request of a row, or delivers its answer if that is only not finite and not refused."""
        if isinstance(error, NonFiniteOutputError):
            if self._refuses_non_finite:
                self._recorder.note_non_finite(1)
            else:
                try:
                    return self._deliver([row], self._answer_rows([row]))
                except Exception as found:  # noqa: BLE001 - given to the caller whose row raises it
                    if self.suspicion.confirm(found, self.loaded):
                        return [row]
                    error = found
        self._delivery.fail(row, error)
        return []

    def _deliver(self, rows: Sequence[Row], answers: Sequence[Any]) -> Sequence[Row]:
        # Results that an artifact computes while another thread finds it broken cannot be trusted.
        return rows if self.suspicion.is_confirmed else self._delivery.deliver(rows, answers, self.shift)

    def _answer_rows(self, rows: Sequence[Row]) -> Sequence[Any]:
        with converting_failures(f"computing {self._name!r}"):
            if self._trace is None:
                return self._compute_batch(rows)
            with tracing_batch(self._trace, self._name, rows):
                return self._compute_batch(rows)

    def _compute_batch(self, rows: Sequence[Row]) -> Sequence[Any]:
        """Computes rows and decodes their answers."""
        task = rows[0][0].encoding.task
        if isinstance(task, RawTask):
            ((request, row),) = rows
            began = time.perf_counter()
            call = request.encoding.items[row]
            with self._watch.computing(rows):
                answer = task.compute_call(self.loaded.model, call)
            self._note_batch(rows, time.perf_counter() - began)
            if not is_finite(answer) and is_finite(call):
                self._judge_non_finite({0: True}, is_own=True)
            return [answer]
        parts = [(encoding, [row for _, row in some]) for encoding, some in groupby(rows, _encoding_of)]
        items = [request.encoding.items[row] for request, row in rows]
        with self._watch.computing(rows):
            with span.get()("lay out"):
                batch = Batch.concatenate([encoding.batch.select(some) for encoding, some in parts])
            began = time.perf_counter()
            outputs = self.loaded.model.compute(batch)
            # Texts with different prompts may share a batch, and are pooled differently.
            with span.get()("decode"):
                tasks = {encoding.task for encoding, _ in parts}
                answers = {task: decode_rows(task, items, batch, outputs) for task in tasks}
        self._note_batch(rows, time.perf_counter() - began)
        found: Sequence[Any] = answers[parts[0][0].task]
        if len(answers) > 1:
            found = [answers[request.encoding.task][index] for index, (request, _) in enumerate(rows)]
        if strange := find_non_finite(batch, outputs, found):
            self._judge_non_finite(strange, is_own=len(rows) == 1 or not any(strange.values()))
        return found

    def _judge_non_finite(self, strange: Mapping[int, bool], *, is_own: bool) -> None:
        """Counts rows whose results are not finite, unless they are to be computed apart or refused.

        Args:
            strange: The rows, and whether each has NaN.
            is_own: Whether the rows themselves cause that, rather than others in the batch.

        Raises:
            NonFiniteOutputError: If they are to be computed apart, or refused, or the artifact is to blame.
        """
        error = NonFiniteOutputError(
            f"{self.shift.metadata.artifact} computed NaN or infinity for it, but only finite numbers are accepted",
            hint="'inferox verify' tells whether the artifact computes what it should",
        )
        if self._refuses_non_finite or not is_own or self.suspicion.confirm(error, self.loaded):
            raise error
        self._recorder.note_non_finite(len(strange))

    def _note_batch(self, rows: Sequence[Row], seconds: float) -> None:
        tokens = sum([request.lengths[row] for request, row in rows])
        work = self._work_of(rows)
        self._cost.learn(work, seconds)
        self._limit.raise_slowly()
        self._recorder.note_batch(len(rows), tokens, work.tokens, seconds)

    def _work_of(self, rows: Sequence[Row], count: int | None = None) -> Workload:
        """Returns the work of computing the first rows, or all of them, including padding."""
        some = rows[:count]
        if isinstance(some[0][0].encoding.task, RawTask):
            ((request, row),) = some
            return request.work_of([row])
        lengths = [request.lengths[row] for request, row in some]
        places = len(lengths) * max(lengths)
        tokens = places if self.shift.metadata.layout is Layout.PADDED else sum(lengths)
        return Workload(len(lengths), tokens, places * places // len(lengths))


def _read_budget(loaded: TaskModel, config: EngineConfig) -> BatchBudget:
    if isinstance(loaded.task, RawTask):
        return BatchBudget(1, 1)
    most_rows = min(config.max_batch_rows, loaded.task.max_rows)
    return read_budget(loaded.model, max_tokens=config.max_batch_tokens, max_rows=most_rows)


def _has_tokens(loaded: TaskModel) -> bool:
    """Returns whether the tokens that work is counted in are those of rows, and not what something else counts as."""
    has_ragged = any(SEQUENCE in spec.dims for spec in loaded.signature.inputs)
    return has_ragged and not isinstance(loaded.task, RawTask)


def _subject_of(loaded: TaskModel) -> str | None:
    """Returns what errors call one row, unless it is named by its tokens."""
    if isinstance(loaded.task, RawTask):
        return "the call"
    return None if _has_tokens(loaded) else "the row"


def _check_samples(check: Callable[[TaskModel], None], watch: Watch, loaded: TaskModel) -> None:
    with watch.checking():
        check(loaded)


def _is_needed(row: Row) -> bool:
    return not row[0].is_over()


def _encoding_of(row: Row) -> Encoding:
    return row[0].encoding
