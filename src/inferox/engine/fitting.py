"""The computation of rows in batches that fit into memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from inferox.batching import BatchBudget
from inferox.core import OutOfMemoryError, first_line
from inferox.engine.batch_memory import BatchMemory
from inferox.engine.request import Row, count_places, group_by_request
from inferox.engine.stats import StatsRecorder
from inferox.engine.token_limit import TokenLimit
from inferox.engine.workload import Workload

_logger = logging.getLogger(__name__)


class FittingBatches:
    """Computes rows in batches that fit into memory, and in smaller ones while memory is short. Thread-safe.

    Args:
        name: The name of the model in the engine.
        compute: Computes a batch.
        work_of: The work of the first of some rows, by their number.
        limit: The limit on a batch's tokens, which is lowered where memory is short.
        memory: The memory of batches, as far as it is known before they are computed.
        recorder: Counts batches that fail.
    """

    def __init__(
        self,
        name: str,
        compute: Callable[[Sequence[Row]], Sequence[Any]],
        work_of: Callable[[Sequence[Row], int], Workload],
        *,
        limit: TokenLimit,
        memory: BatchMemory,
        recorder: StatsRecorder,
    ) -> None:
        self._name = name
        self._compute = compute
        self._work_of = work_of
        self._limit = limit
        self._memory = memory
        self._recorder = recorder

    def compute(self, rows: Sequence[Row]) -> tuple[Sequence[Any], OutOfMemoryError | None]:
        """Computes rows. A lack of memory is not a row's fault, unless it is alone.

        Args:
            rows: The rows of a batch.

        Returns:
            The answers of all rows; or those of the rows before the first that does not fit even alone, and its error.
        """
        answers, tokens = list[Any](), self._limit.tokens
        while left := rows[len(answers) :]:
            try:
                with self._memory.use(self._count_fitting(left), partial(self._work_of, left)) as count:
                    found = self._try(left[:count])
            except OutOfMemoryError as error:
                self._limit.restore(tokens)  # it was lowered because of this row
                return answers, error
            if count == len(rows) and found is not None:
                return found, None
            if found is not None:
                answers.extend(found)  # may be an array, to which += would add elementwise
        return answers, None

    def compute_all(self, rows: Sequence[Row]) -> Sequence[Any]:
        """Computes rows; see ``compute``.

        Args:
            rows: The rows of a batch.

        Returns:
            The answers of all rows.

        Raises:
            OutOfMemoryError: If a row does not fit even alone.
        """
        answers, error = self.compute(rows)
        if error is not None:
            raise error
        return answers

    def _try(self, rows: Sequence[Row]) -> Sequence[Any] | None:
        """Computes rows; ``None`` if the memory was short, and batches are smaller from now on."""
        try:
            return self._compute(rows)
        except OutOfMemoryError as error:
            if len(rows) == 1:
                raise
            self._recorder.note_failure()
            self._recorder.note_split()
            _logger.warning("%s: %s; its rows are computed in smaller batches", self._name, first_line(error))
            self._limit.lower(count_places(rows))
            return None

    def _count_fitting(self, rows: Sequence[Row]) -> int:
        """Counts the rows that fit into memory, as far as that is known: all of them at first."""
        if not self._limit.is_lowered or count_places(rows) <= self._limit.tokens:
            return len(rows)
        longest = 0
        for count, (request, row) in enumerate(rows):
            longest = max(longest, request.lengths[row])
            if count and (count + 1) * longest > self._limit.tokens:
                return count
        return len(rows)


def divide_rows(rows: Sequence[Row], budget: BatchBudget) -> Iterator[Sequence[Row]]:
    """Divides rows into batches, each of one request and of rows of similar length.

    Args:
        rows: The rows.
        budget: The limits of a batch.
    """
    for request, some in group_by_request(rows).items():
        for places in request.encoding.group_rows(some).values():
            batch, tokens = list[Row](), 0
            for place in sorted(places, key=request.lengths.__getitem__):
                longest = request.lengths[place]
                if batch and not budget.holds(len(batch) + 1, tokens + longest, longest):
                    yield batch
                    batch, tokens = [], 0
                batch, tokens = [*batch, (request, place)], tokens + longest
            yield batch
