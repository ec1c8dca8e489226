"""The requests that wait for one model, and which of their rows are computed next."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from threading import Condition

from inferox.batching import BatchBudget, Owner, Waiting, WaitingTable, choose_batch
from inferox.core import DeadlineExceededError, InferoxError, OverloadedError, ShuttingDownError
from inferox.engine.deadlines import Deadlines
from inferox.engine.request import Request

_MOST_OWNERS = 1024
"""How many owners are remembered before those for whom nothing waits are forgotten."""


@dataclass(frozen=True)
class Part:
    """Some rows of a request that are computed together.

    Attributes:
        request: The request.
        rows: The rows.
    """

    request: Request
    rows: Sequence[int]


@dataclass(eq=False, slots=True)
class _Owner(Owner):
    """What an owner had.

    Attributes:
        clock: What its request had that was last given to a batch: those that come new start there.
        waiting: How many of its requests wait.
    """

    clock: float = 0.0
    waiting: int = 0


@dataclass(eq=False, slots=True, kw_only=True)
class _Entry(Waiting):
    """The rows of a request that may share a batch.

    Attributes:
        request: The request.
    """

    request: Request


class RequestQueue:
    """The requests that wait for one model. Several threads may use it.

    Fairness is counted in tokens, on clocks that read what the owner, or the owner's request, that was served last has
    had: newcomers start there, and not at zero (start-time fair queueing, P. Goyal, H. M. Vin and H. Cheng, SIGCOMM
    1996). An idle queue forgets the past.

    Args:
        max_tokens: The most tokens that may wait; a request that comes to an empty queue is taken in any case.
        lanes: How many batches may be out at once.
        clock: The time, in seconds.
    """

    def __init__(self, *, max_tokens: int, lanes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_tokens = max_tokens
        self._lanes = lanes
        self._out = 0
        self._clock = clock
        self._condition = Condition()
        self._table = WaitingTable[_Entry]()
        self._entries: dict[Request, list[_Entry]] = {}
        self._waiting_rows = self._waiting_tokens = 0
        self._owners: dict[str | None, _Owner] = {}
        self._owners_clock = 0.0
        self._most_owners = _MOST_OWNERS
        self._is_closed = False
        self._deadlines = Deadlines()

    def add(self, request: Request, *, estimate_s: Callable[[int], float | None] = lambda _: None) -> None:
        """Takes a request in, as a whole.

        Args:
            request: The request.
            estimate_s: How many seconds some tokens take; ``None`` where that is not known.

        Raises:
            ShuttingDownError: If the queue is closed.
            OverloadedError: If too much waits already.
        """
        with self._condition:
            self._refuse_if_closed()
            self._refuse_if_full(request.waiting_tokens, estimate_s)
            owner = self._welcome(request.options.owner)
            owner.waiting += 1
            request.served_tokens = owner.clock
            self._entries[request] = [self._enter(request, owner, group) for group in request.waiting]
            self._waiting_rows += request.waiting_rows
            self._waiting_tokens += request.waiting_tokens
            self._condition.notify_all()
        request.future.add_done_callback(lambda _: self._forget(request))
        if request.options.deadline_s is not None:
            self._deadlines.add(request)

    def refuse_if_full(self, tokens: int, *, estimate_s: Callable[[int], float | None] = lambda _: None) -> None:
        """Refuses a request as ``add`` would, before it is made.

        Args:
            tokens: The least tokens that it can have.
            estimate_s: As for ``add``.

        Raises:
            OverloadedError: If too much waits already.
        """
        with self._condition:
            self._refuse_if_full(tokens, estimate_s)

    def count_waiting(self) -> tuple[int, int]:
        """The rows that wait, and their tokens."""
        with self._condition:
            return self._waiting_rows, self._waiting_tokens

    def take(self, budget: Callable[[], BatchBudget]) -> list[Part] | None:
        """Waits for rows and a lane, and takes the rows of the next batch. ``end_batch`` gives the lane back.

        Args:
            budget: What the batch may hold; asked for when there is something to take.

        Returns:
            The rows by request; ``None`` once the queue is closed and empty.
        """
        with self._condition:
            while True:
                if self._out < self._lanes and (parts := self._choose(budget())):
                    self._out += 1
                    return parts
                if self._is_closed and not self._entries:
                    return None
                self._condition.wait()

    def set_lanes(self, lanes: int) -> None:
        """Changes how many batches may be out at once.

        Args:
            lanes: Their number.
        """
        with self._condition:
            self._lanes = lanes
            self._condition.notify_all()

    def end_batch(self) -> None:
        """Gives back the lane of a batch that was taken."""
        with self._condition:
            self._out -= 1
            self._condition.notify_all()

    def take_alone(self, request: Request, budget: BatchBudget) -> list[Part] | None:
        """Takes a request past the queue, where nothing waits, no batch is out, and one batch holds all its rows.

        Args:
            request: The request, which is not in the queue.
            budget: What a batch may hold.

        Returns:
            Its rows, for which ``end_batch`` is to be called; ``None`` where it has to wait.

        Raises:
            ShuttingDownError: If the queue is closed.
        """
        with self._condition:
            self._refuse_if_closed()
            if self._entries or self._out or len(request.waiting) != 1:
                return None
            ((group, rows),) = request.waiting.items()
            longest = max(request.lengths[row] for row in rows)
            if not budget.holds(len(rows), request.waiting_tokens, longest):
                return None
            parts = [Part(request, request.take(group, range(len(rows))))]
            self._out += 1
            return parts

    def fail_all(self, make_error: Callable[[], InferoxError]) -> None:
        """Gives every caller whose request waits an error of its own.

        Args:
            make_error: Makes one.
        """
        with self._condition:
            requests = list(self._entries)
        for request in requests:
            request.fail(make_error())

    def close(self) -> None:
        """Takes no more requests. Those that wait are still handed out."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()

    def wait_until_idle(self) -> None:
        """Waits until no request waits, and no batch is out. A queue that is closed is over then."""
        with self._condition:
            self._condition.wait_for(lambda: not self._out and not self._entries)
            is_over = self._is_closed
        if is_over:
            self._deadlines.close()

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise ShuttingDownError("the model is being unloaded", hint="send the request again")

    def _refuse_if_full(self, tokens: int, estimate_s: Callable[[int], float | None]) -> None:
        if self._waiting_tokens and self._waiting_tokens + tokens > self._max_tokens:
            raise OverloadedError(
                f"{self._waiting_tokens} tokens wait already, and {tokens} more would exceed the "
                f"limit of {self._max_tokens}",
                retry_after_s=estimate_s(self._waiting_tokens),
            )

    def _welcome(self, name: str | None) -> _Owner:
        """The owner of a request that arrives: one for whom nothing waits starts at the clock's present time."""
        if not self._entries and not self._out:
            self._owners, self._owners_clock = {}, 0.0
        elif len(self._owners) > self._most_owners:
            self._owners = {known: owner for known, owner in self._owners.items() if owner.waiting}
            self._most_owners = max(_MOST_OWNERS, 2 * len(self._owners))
        owner = self._owners.get(name)
        if owner is None:
            owner = self._owners[name] = _Owner(self._owners_clock, self._clock())
        elif not owner.waiting:
            owner.tokens, owner.since_s = max(owner.tokens, self._owners_clock), self._clock()
        return owner

    def _enter(self, request: Request, owner: _Owner, group: Hashable) -> _Entry:
        entry = _Entry(
            lengths=[request.lengths[row] for row in request.waiting[group]],
            group=group,
            priority=request.options.priority,
            owner=owner,
            own_tokens=request.served_tokens,
            arrived_s=request.arrived_s,
            since_s=request.since_s,
            deadline_s=request.deadline_s,
            request=request,
        )
        self._table.add(entry)
        return entry

    def _forget(self, request: Request) -> None:
        """Drops a request that is over: it has its answer, or its caller has gone."""
        with self._condition:
            if request not in self._entries:
                return
            self._waiting_rows -= request.waiting_rows
            self._waiting_tokens -= request.waiting_tokens
            for entry in self._entries[request]:
                self._table.remove(entry)
            request.waiting, request.waiting_rows, request.waiting_tokens = {}, 0, 0
            self._leave(request)
            self._condition.notify_all()

    def _leave(self, request: Request) -> None:
        """Notes that nothing of a request waits any more."""
        del self._entries[request]
        self._owners[request.options.owner].waiting -= 1

    def _choose(self, budget: BatchBudget) -> list[Part]:
        now_s = self._clock()
        for expired in self._table.expired(now_s):
            error = DeadlineExceededError("the deadline passed before it was computed", hint="allow more time")
            expired.request.fail(error)
        chosen = choose_batch(self._table, budget, now_s=now_s)
        parts = [Part(entry.request, self._take(entry, places)) for entry, places in chosen]
        if parts:
            self._count(parts, now_s)
        return parts

    def _take(self, entry: _Entry, places: range) -> list[int]:
        request = entry.request
        rows = request.take(entry.group, places)
        del entry.lengths[places.start : places.stop]
        if not entry.lengths:
            self._table.remove(entry)
            self._entries[request].remove(entry)
        return rows

    def _count(self, parts: Sequence[Part], now_s: float) -> None:
        """Counts what a batch has, and puts the clocks where the one began that had least."""
        least: dict[_Owner, float] = {}
        for part in parts:
            owner = self._owners[part.request.options.owner]
            least[owner] = min(part.request.served_tokens, least.get(owner, math.inf))
        self._owners_clock = max(self._owners_clock, min(owner.tokens for owner in least))
        for part in parts:
            request, owner = part.request, self._owners[part.request.options.owner]
            tokens = sum(request.lengths[row] for row in part.rows)
            self._waiting_rows -= len(part.rows)
            self._waiting_tokens -= tokens
            request.served_tokens += tokens
            request.since_s = now_s
            owner.tokens += tokens
            for entry in self._entries[request]:
                entry.own_tokens, entry.since_s = request.served_tokens, now_s
                self._table.note_served(entry)
            if not request.waiting_rows:
                self._leave(request)
        for owner, own_tokens in least.items():
            owner.clock, owner.since_s = max(owner.clock, own_tokens), now_s
            self._table.note_owner_served(owner)
