"""The queue of requests for one model, which decides the rows to compute next."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from weakref import ref

from inferox.batching import BatchBudget, WaitingTable, choose_batch
from inferox.core import DeadlineExceededError, InferoxError, OverloadedError, ShuttingDownError
from inferox.engine.deadlines import Deadlines
from inferox.engine.equal_rows import EqualRows
from inferox.engine.monitor import Monitor
from inferox.engine.owners import Owners, QueueOwner
from inferox.engine.queue_entry import Part, QueueEntry
from inferox.engine.request import Request, Row, group_by_request
from inferox.engine.workload import Workload


class RequestQueue:
    """The queue of requests for one model. Thread-safe.

    Fairness is measured in tokens, with virtual clocks that show the service received by the owner, or the owner's
    request, that was served last: newcomers start there rather than at zero (start-time fair queueing, P. Goyal, H. M.
    Vin and H. Cheng, SIGCOMM 1996). An idle queue forgets the past.

    Args:
        max_tokens: The most tokens that may wait; a request to an empty queue is always accepted.
        lanes: The number of batches that may be computed at once.
        clock: The clock, in seconds.
    """

    def __init__(self, *, max_tokens: int, lanes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_tokens = max_tokens
        self._lanes = lanes
        self._out = self._computing = 0
        self._clock = clock
        self._condition = Monitor()
        self._table = WaitingTable[QueueEntry]()
        self._entries: dict[Request, list[QueueEntry]] = {}
        self._waiting = Workload()
        self._owners = Owners()
        self._is_closed = False
        self._deadlines = Deadlines()
        self._equal = EqualRows()
        self._alone: Request | None = None

    def add(self, request: Request, *, estimate_s: Callable[[Workload], float | None] = lambda _: None) -> None:
        """Adds a request as a whole.

        Args:
            request: The request.
            estimate_s: Estimates the seconds that rows take; ``None`` if that is not known.

        Raises:
            ShuttingDownError: If the queue is closed.
            OverloadedError: If the queue is full.
        """
        with self._condition:
            self.refuse_if_closed()
            self._refuse_if_full(request.waiting_work.tokens, estimate_s)
            self._equal.add(request)
            if request.waiting:
                self._enter(request)
        # The future keeps its callbacks: a strong reference would make each request a cycle of garbage.
        entered = ref(request)
        request.future.add_done_callback(lambda _: self._forget(entered()))
        if request.options.deadline_s is not None:
            self._deadlines.add(request)

    def count_sharing(self, owner: str | None) -> int:
        """Returns the number of requests among which a new one would share the time; see ``Owners``."""
        with self._condition:
            return self._owners.count_sharing(owner)

    def refuse_if_full(self, tokens: int, *, estimate_s: Callable[[Workload], float | None] = lambda _: None) -> None:
        """Refuses a request like ``add``, before it is encoded.

        Args:
            tokens: The least tokens that it can have.
            estimate_s: As for ``add``.

        Raises:
            OverloadedError: If the queue is full.
        """
        with self._condition:
            self._refuse_if_full(tokens, estimate_s)

    def count_waiting(self) -> Workload:
        """Returns the work of the waiting rows."""
        return self._waiting

    def take(self, budget: Callable[[], BatchBudget]) -> list[Part] | None:
        """Waits for rows and a lane, and takes the rows of the next batch. ``end_batch`` must be called for it.

        Args:
            budget: Returns the limits of the batch; called when there is something to take.

        Returns:
            The rows by request; ``None`` once the queue is closed and empty, and every batch has ended.
        """
        with self._condition:
            while True:
                if self._computing < self._lanes and (parts := self._choose(budget())):
                    self._out, self._computing = self._out + 1, self._computing + 1
                    return parts
                if self._is_closed and not self._entries and not self._out:
                    return None
                self._condition.wait()

    def set_lanes(self, lanes: int) -> None:
        """Changes the number of batches that may be computed at once.

        Args:
            lanes: The number.
        """
        with self._condition:
            self._lanes = lanes
            self._condition.notify_all()

    def end_row(self, request: Request, row: int) -> list[Row]:
        """Records that a row that was taken has been computed.

        Args:
            request: The request.
            row: The row.

        Returns:
            The rows that were not taken because they are equal to it, and get the same answer.
        """
        with self._condition:
            return self._equal.end(request, row)

    def release_lane(self) -> None:
        """Returns the lane of a batch that is computed, but not delivered yet."""
        with self._condition:
            self._computing -= 1
            self._condition.notify_all()

    def end_batch(self, parts: Sequence[Part] = (), again: Sequence[Row] = (), *, has_lane: bool = True) -> None:
        """Ends a batch, and returns its lane. Rows that are equal to one that got no answer wait again.

        Args:
            parts: The batch.
            again: Rows that have to be computed again, and wait for that.
            has_lane: Whether ``release_lane`` was not called for it.
        """
        with self._condition:
            alone = None if any(part.request is self._alone for part in parts) else self._alone
            self._out, self._computing, self._alone = self._out - 1, self._computing - has_lane, alone
            equal = [row for part in parts for own in part.rows for row in self._equal.end(part.request, own)]
            self._put_back([*equal, *again])
            if self._entries or self._is_closed:  # otherwise lanes would wake for nothing, and delay the answer
                self._condition.notify_all()

    def take_alone(self, request: Request, budget: BatchBudget) -> list[Part] | None:
        """Takes a request past the queue, if nothing waits, no batch is out, and one batch can hold all its rows.

        Args:
            request: The request, which is not in the queue.
            budget: The limits of a batch.

        Returns:
            Its rows, for which ``end_batch`` must be called; ``None`` if it has to wait.

        Raises:
            ShuttingDownError: If the queue is closed.
        """
        with self._condition:
            self.refuse_if_closed()
            if self._entries or self._out or len(request.waiting) != 1:
                return None
            ((group, rows),) = request.waiting.items()
            longest = request.lengths[rows[-1]]
            if not budget.holds(len(rows), request.waiting_work.tokens, longest):
                return None
            # First, so that ``end_alone`` knows what an interrupt may leave half done.
            self._out, self._computing, self._alone = self._out + 1, self._computing + 1, request
            return [Part(request, self._begin(request, request.take(group, range(len(rows)))))]

    def end_alone(self, request: Request) -> None:
        """Ends the batch of a request from ``take_alone`` whose caller was interrupted, unless it has ended.

        Args:
            request: The request.
        """
        with self._condition:
            if self._alone is request:
                self.end_batch([Part(request, request.rows)])

    def fail_all(self, make_error: Callable[[], InferoxError]) -> None:
        """Fails every waiting request with an error of its own.

        Args:
            make_error: Makes an error.
        """
        with self._condition:
            requests = list(self._entries)
        for request in requests:
            request.fail(make_error())

    def close(self) -> None:
        """Stops accepting requests. Those that wait are still handed out."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()

    def refuse_if_closed(self) -> None:
        """Raises a ``ShuttingDownError`` if the queue is closed."""
        if self._is_closed:
            raise ShuttingDownError("the model is being unloaded", hint="send the request again")

    def wait_until_idle(self, timeout_s: float | None = None) -> None:
        """Waits until no request of a closed queue waits and no batch is out: then it is finished.

        Args:
            timeout_s: The longest time to wait; ``None`` for no limit.
        """
        with self._condition:
            self._condition.wait_for(lambda: not self._out and not self._entries, timeout_s)
        self._deadlines.close()

    def _refuse_if_full(self, tokens: int, estimate_s: Callable[[Workload], float | None]) -> None:
        waiting = self._waiting.tokens
        if waiting and waiting + tokens > self._max_tokens:
            raise OverloadedError(
                f"{waiting} tokens wait already, and {tokens} more would exceed the limit of {self._max_tokens}",
                retry_after_s=estimate_s(self._waiting),
            )

    def _enter(self, request: Request) -> None:
        if not self._entries and not self._out:
            self._owners.forget()
        owner = self._owners.welcome(request.options.owner, self._clock())
        owner.waiting += 1
        request.served_tokens = max(request.served_tokens, owner.clock)
        self._entries[request] = [self._make_entry(request, owner, group) for group in request.waiting]
        self._waiting = self._waiting.plus(request.waiting_work)
        self._condition.notify_all()

    def _make_entry(self, request: Request, owner: QueueOwner, group: Hashable) -> QueueEntry:
        entry = QueueEntry(
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

    def _forget(self, request: Request | None) -> None:
        """Drops a finished request: it has its answer, or its caller is gone."""
        with self._condition:
            if request is not None and request in self._entries:
                for rows in request.waiting.values():
                    self._equal.remove(request, rows)
                self._leave(request)
                request.waiting, request.waiting_work = {}, Workload()
                self._condition.notify_all()

    def _leave(self, request: Request) -> None:
        """Records that nothing of a request waits any more."""
        self._waiting = self._waiting.minus(request.waiting_work)
        for entry in self._entries.pop(request):
            self._table.remove(entry)
        self._owners[request.options.owner].waiting -= 1

    def _put_back(self, rows: Sequence[Row]) -> None:
        """Puts rows back to wait again, those of each request together."""
        for request, some in group_by_request(rows).items():
            if request.is_over():
                continue
            if request in self._entries:
                self._leave(request)
            for row in some:
                request.put_back(row)
                self._equal.put_back(request, row)
            self._enter(request)

    def _choose(self, budget: BatchBudget) -> list[Part]:
        now_s = self._clock()
        for expired in self._table.expired(now_s):
            error = DeadlineExceededError("the deadline passed before it was computed", hint="allow more time")
            expired.request.fail(error)
        chosen = choose_batch(self._table, budget, now_s=now_s)
        taken = [(entry.request, self._take(entry, places)) for entry, places in chosen]
        begun = [Part(request, self._begin(request, rows)) for request, rows in taken]
        parts = [part for part in begun if part.rows]
        if parts:
            self._count(parts, budget, now_s)
        return parts

    def _take(self, entry: QueueEntry, places: range) -> list[int]:
        request = entry.request
        rows = request.take(entry.group, places)
        self._equal.remove(request, rows)
        self._withdraw(entry, places, request.work_of(rows))
        return rows

    def _withdraw(self, entry: QueueEntry, places: range, work: Workload) -> None:
        """Records that rows of a request no longer wait."""
        request = entry.request
        del entry.lengths[places.start : places.stop]
        self._waiting = self._waiting.minus(work)
        if entry.lengths:
            self._table.note_served(entry)
            return
        self._table.remove(entry)
        self._entries[request].remove(entry)
        if not self._entries[request]:
            self._leave(request)

    def _begin(self, request: Request, rows: Sequence[int]) -> list[int]:
        """Returns the rows that are to be computed. Others that are equal to one of them no longer wait for a batch."""
        begun = []
        for row in rows:
            equal = self._equal.begin(request, row)
            if equal is not None:
                begun.append(row)
                for other, place in equal:
                    group, position = other.drop(place)
                    entry = next(entry for entry in self._entries[other] if entry.group == group)
                    self._withdraw(entry, range(position, position + 1), other.work_of([place]))
        return begun

    def _count(self, parts: Sequence[Part], budget: BatchBudget, now_s: float) -> None:
        """Accounts for the contents of a batch."""
        self._owners.begin_batch((part.request.options.owner, part.request.served_tokens) for part in parts)
        owners: set[QueueOwner] = set()
        for part in parts:
            request, owner = part.request, self._owners[part.request.options.owner]
            tokens = sum(request.lengths[row] for row in part.rows)
            request.serve(tokens, max(tokens / budget.tokens, len(part.rows) / budget.rows), now_s)
            owner.tokens += tokens
            owner.since_s = now_s
            owners.add(owner)
            for entry in self._entries.get(request, ()):
                entry.own_tokens, entry.since_s = request.served_tokens, request.since_s
                self._table.note_served(entry)
        for owner in owners:
            self._table.note_owner_served(owner)
