"""The requests that wait for one model, and which of their rows are computed next."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from threading import Condition

from inferox.batching import BatchBudget, Waiting, choose_batch
from inferox.core import OverloadedError, ShuttingDownError
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


class RequestQueue:
    """The requests that wait for one model. Several threads may use it.

    Fairness is counted in tokens, on a clock that reads what the request had that was served last: who comes new
    starts there, and not at zero, so that nobody who is served continually can be pushed aside for ever.

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
        self._requests: list[Request] = []
        self._waiting_rows = self._waiting_tokens = 0
        self._served_tokens = 0.0
        self._owner_tokens: defaultdict[str | None, float] = defaultdict(float)
        self._owners_served_tokens = 0.0
        self._is_closed = False

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
            if self._waiting_tokens and self._waiting_tokens + request.waiting_tokens > self._max_tokens:
                self._drop_those_over()
            if self._waiting_tokens and self._waiting_tokens + request.waiting_tokens > self._max_tokens:
                raise OverloadedError(
                    f"{self._waiting_tokens} tokens wait already, and {request.waiting_tokens} more would pass the "
                    f"limit of {self._max_tokens}",
                    retry_after_s=estimate_s(self._waiting_tokens),
                )
            self._welcome(request.options.owner)
            request.served_tokens = self._served_tokens
            self._requests.append(request)
            self._waiting_rows += request.waiting_rows
            self._waiting_tokens += request.waiting_tokens
            self._condition.notify()

    def count_waiting(self) -> tuple[int, int]:
        """The rows that wait, and their tokens."""
        with self._condition:
            self._drop_those_over()
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
                if self._is_closed and not self._requests:
                    return None
                self._condition.wait()

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
            if self._requests or self._out or len(request.waiting) != 1:
                return None
            ((group, rows),) = request.waiting.items()
            if not budget.holds(len(rows), request.waiting_tokens, max(request.lengths)):
                return None
            self._out += 1
            return [Part(request, request.take(group, range(len(rows))))]

    def close(self) -> None:
        """Takes no more requests. Those that wait are still handed out."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()

    def wait_until_idle(self) -> None:
        """Waits until no request waits, and no batch is out."""
        with self._condition:
            self._condition.wait_for(lambda: not self._out and all(item.is_over() for item in self._requests))

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise ShuttingDownError("the model is being unloaded", hint="send the request again")

    def _welcome(self, owner: str | None) -> None:
        """Lets an owner for whom nothing waits begin where the clock stands."""
        if not self._requests and not self._out:
            self._owner_tokens.clear()
            self._owners_served_tokens = self._served_tokens = 0.0
        elif len(self._owner_tokens) > _MOST_OWNERS:
            waiting = {request.options.owner for request in self._requests}
            self._owner_tokens = defaultdict(float, {name: self._owner_tokens[name] for name in waiting})
        self._owner_tokens[owner] = max(self._owner_tokens[owner], self._owners_served_tokens)

    def _drop_those_over(self) -> None:
        """Lets go of requests whose callers have gone, or for which nothing waits any more."""
        for request in self._requests:
            if request.is_over():
                self._waiting_rows -= request.waiting_rows
                self._waiting_tokens -= request.waiting_tokens
                request.waiting_rows = 0
        self._requests = [request for request in self._requests if request.waiting_rows]

    def _choose(self, budget: BatchBudget) -> list[Part]:
        if not self._requests:
            return []
        self._drop_those_over()
        places: list[tuple[Request, Hashable]] = [(item, group) for item in self._requests for group in item.waiting]
        waiting = [self._describe(request, group) for request, group in places]
        parts = []
        for index, chosen in choose_batch(waiting, budget, now_s=self._clock()):
            request, group = places[index]
            parts.append(Part(request, request.take(group, chosen)))
            self._count(parts[-1])
        self._requests = [request for request in self._requests if request.waiting_rows]
        return parts

    def _describe(self, request: Request, group: Hashable) -> Waiting:
        options = request.options
        return Waiting(
            lengths=[request.lengths[row] for row in request.waiting[group]],
            group=group,
            priority=options.priority,
            owner_tokens=self._owner_tokens[options.owner],
            own_tokens=request.served_tokens,
            arrived_s=request.arrived_s,
            deadline_s=request.deadline_s,
        )

    def _count(self, part: Part) -> None:
        request, owner = part.request, part.request.options.owner
        tokens = sum(request.lengths[row] for row in part.rows)
        self._waiting_rows -= len(part.rows)
        self._waiting_tokens -= tokens
        self._served_tokens = max(self._served_tokens, request.served_tokens)
        request.served_tokens += tokens
        self._owners_served_tokens = max(self._owners_served_tokens, self._owner_tokens[owner])
        self._owner_tokens[owner] += tokens
