"""A request: the items of one caller, and the answer that it waits for."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from inferox.core import RequestError, shown
from inferox.engine.encoding import Encoding
from inferox.engine.option_values import MOST_PRIORITY, check_texts_of_options, read_deadline, read_flag, read_priority
from inferox.engine.shift import Shift
from inferox.engine.workload import Workload
from inferox.tasks import Task
from inferox.tasks.truncation import check_truncation

_COUNTED_SHARE = 0.5
"""The share of a batch that a request may get before it counts as served."""

RowKey = tuple[str | None, Task, bytes]
"""The key of rows with the same answer: their owner, their task, and a digest of their contents."""


@dataclass(frozen=True)
class RequestOptions:
    """The options of a request, as its caller states them.

    Attributes:
        deadline_s: The seconds within which the answer is needed; ``None`` for no limit.
        priority: Lower numbers go first. Each second of waiting counts as one, so that no request waits forever.
        owner: The owner of the request, such as an API key: owners get equal shares of the machine.
        prompt: The name of the prompt to put before each text; ``None`` for the model's default.
        truncate: The treatment of texts that are longer than the model takes: ``error``, ``warn`` or ``cut``.
        truncation_side: The side on which they are cut: ``left`` or ``right``; ``None`` for the model's own.
        unscaled: Whether to return scores before their activation, and vectors before scaling to unit length.
        of_tokens: Whether to return the vectors of single tokens, as the model computes them.
        request_id: The id by which requests are chosen for a shadow or a canary; ``None`` for no id.
        token_ids: Whether the items are lists of token ids in place of texts.
        artifact: The requested artifact, among those offered; ``None`` for the serving one.
        is_one_of_many: Whether its answer belongs together with those of other requests, and must lie in the embedding
            space of the serving artifact.

    Raises:
        RequestError: If one of them is out of range, or of another type.
        ConfigError: If ``truncate`` is something else.
    """

    deadline_s: float | None = None
    priority: int = 0
    owner: str | None = None
    prompt: str | None = None
    truncate: str = "warn"
    truncation_side: str | None = None
    unscaled: bool = False
    of_tokens: bool = False
    request_id: str | None = None
    token_ids: bool = False
    artifact: str | None = None
    is_one_of_many: bool = False

    def __post_init__(self) -> None:
        if self.deadline_s is not None:
            object.__setattr__(self, "deadline_s", read_deadline(self.deadline_s))
        if type(self.priority) is not int or abs(self.priority) > MOST_PRIORITY:
            object.__setattr__(self, "priority", read_priority(self.priority))
        for name in ("unscaled", "of_tokens", "token_ids"):
            if type(value := getattr(self, name)) is not bool:
                object.__setattr__(self, name, read_flag(name, value))
        check_texts_of_options(self.owner, self.prompt, self.request_id, self.artifact)
        if self.token_ids and self.prompt is not None:
            raise RequestError(
                f"the prompt {self.prompt!r} is a text, which cannot be put before token ids", hint="send texts"
            )
        check_truncation(self.truncate)
        if self.truncation_side is not None and self.truncation_side not in ("left", "right"):
            raise RequestError(f"texts are cut on the left or the right, not on {shown(self.truncation_side)}")


class Request:
    """Rows that wait for their answers. The queue's lock guards its mutable state.

    Args:
        encoding: The encoded items, which may include those of other requests.
        rows: The range of this request's rows.
        options: The options of the request.
        arrived_s: When it arrived, on the clock of ``time.monotonic``.

    Attributes:
        deadline_s: When the answer is needed, on the same clock; infinity if there is no deadline.
        future: The future of the answer.
        waiting: The rows that are in no batch yet, by group, in ascending length.
        waiting_work: The work of those rows.
        served_tokens: How much was computed for it, on its owner's clock of tokens, as far as ``serve`` counts it.
        since_s: When ``serve`` last counted something, or when it arrived.
        keys: A digest of each row, equal for rows with the same answer; ``None`` if every row is computed.
        begun_s: When the first of its rows was computed; ``None`` before that.
        shift: The shift in which its answered rows were computed; ``None`` before there are any.
    """

    def __init__(self, encoding: Encoding, rows: range, *, options: RequestOptions, arrived_s: float) -> None:
        self.encoding = encoding
        self.rows = rows
        self.options = options
        self.arrived_s = arrived_s
        self.deadline_s = math.inf if options.deadline_s is None else arrived_s + options.deadline_s
        self.future: Future[Any] = Future()
        self.lengths = encoding.lengths
        self.waiting = {
            group: sorted(some, key=self.lengths.__getitem__) for group, some in encoding.group_rows(rows).items()
        }
        self.waiting_work = self.work_of(rows)
        self.served_tokens, self.since_s = 0.0, arrived_s
        self._uncounted, self._uncounted_share = 0, 0.0
        self.keys: Sequence[bytes] | None = None
        self.begun_s: float | None = None
        self.shift: Shift | None = None
        self._unanswered = len(rows)
        self._answers: list[tuple[Sequence[int], Any]] = []

    def serve(self, tokens: int, share: float, now_s: float) -> None:
        """Counts its share of batches, once that amounts to half a batch.

        Smaller requests are thus computed one after the other, in the order of arrival. If each token counted at once,
        all would advance side by side, and under load each would finish only when all do.

        Args:
            tokens: The tokens of its rows in the batch.
            share: Their share of the batch's limits.
            now_s: The current time.
        """
        self._uncounted += tokens
        self._uncounted_share += share
        if self._uncounted_share >= _COUNTED_SHARE:
            self.served_tokens, self.since_s = self.served_tokens + self._uncounted, now_s
            self._uncounted, self._uncounted_share = 0, 0.0

    def take(self, group: Hashable, places: range) -> list[int]:
        """Removes rows from those that wait.

        Args:
            group: Their group.
            places: Their places in the group.

        Returns:
            The rows, in order.
        """
        rows = self.waiting[group]
        taken = sorted(rows[places.start : places.stop])
        del rows[places.start : places.stop]
        if not rows:
            del self.waiting[group]
        self.waiting_work = self.waiting_work.minus(self.work_of(taken))
        return taken

    def drop(self, row: int) -> tuple[Hashable, int]:
        """Removes a row from those that wait.

        Args:
            row: The row.

        Returns:
            Its group, and its place in the group.
        """
        group = self.encoding.group_of(row)
        rows = self.waiting[group]
        place = bisect_left(rows, self._rank(row), key=self._rank)
        self.take(group, range(place, place + 1))
        return group, place

    def put_back(self, row: int) -> None:
        """Puts a row that was taken or dropped back to wait.

        Args:
            row: The row.
        """
        insort(self.waiting.setdefault(self.encoding.group_of(row), []), row, key=self._rank)
        self.waiting_work = self.waiting_work.plus(self.work_of([row]))

    def work_of(self, rows: Iterable[int]) -> Workload:
        """Returns the work of some rows.

        Args:
            rows: The rows.
        """
        squares = self.encoding.squares
        if squares is None:
            return Workload.of_lengths(map(self.lengths.__getitem__, rows))
        some = list(rows)
        return Workload(len(some), sum(self.lengths[row] for row in some), sum(squares[row] for row in some))

    def key_of(self, row: int) -> RowKey:
        """Returns the key of a row, which rows with the same answer share.

        Args:
            row: The row; the request has ``keys``.
        """
        assert self.keys is not None  # noqa: S101 - as the caller knows
        return self.options.owner, self.encoding.task, self.keys[row - self.rows.start]

    def _rank(self, row: int) -> tuple[int, int]:
        return self.lengths[row], row

    def add_answers(self, rows: Sequence[int], answers: Any, shift: Shift) -> Sequence[int]:
        """Records the answers of some rows. All must be of one shift: answers of earlier shifts are dropped.

        Args:
            rows: The rows.
            answers: The task's answers for them.
            shift: The shift in which they were computed.

        Returns:
            The rows whose answers were dropped, which have to be computed again.
        """
        if self.shift is not None and shift.number < self.shift.number:
            return rows
        dropped: list[int] = []
        if shift is not self.shift:
            dropped = [self.rows[index] for indices, _ in self._answers for index in indices]
            self._answers, self._unanswered, self.shift = [], len(self.rows), shift
        self._answers.append(([row - self.rows.start for row in rows], answers))
        self._unanswered -= len(rows)
        return dropped

    def complete_answers(self) -> Sequence[tuple[Sequence[int], Any]] | None:
        """Returns the answers of all rows, batch by batch, with their items; ``None`` until all are there."""
        return None if self._unanswered else self._answers

    def is_over(self) -> bool:
        """Returns whether nobody waits for the answer any more: it is there, or the caller is gone."""
        return self.future.done()

    def answer(self, answer: Any) -> None:
        """Delivers the answer, unless the caller is gone."""
        with suppress(InvalidStateError):
            self.future.set_result(answer)

    def fail(self, error: BaseException) -> None:
        """Delivers an error, unless the caller is gone or has its answer."""
        with suppress(InvalidStateError):
            self.future.set_exception(error)


Row = tuple[Request, int]
"""A row of a request."""


def group_by_request(rows: Iterable[Row]) -> dict[Request, list[int]]:
    """Groups rows by request, keeping the order of requests and rows.

    Args:
        rows: The rows.
    """
    groups: dict[Request, list[int]] = {}
    for request, row in rows:
        groups.setdefault(request, []).append(row)
    return groups


def count_places(rows: Sequence[Row]) -> int:
    """Counts the places of a padded batch of rows, which determine its memory.

    Args:
        rows: The rows, at least one.
    """
    return len(rows) * max(request.lengths[row] for request, row in rows)
