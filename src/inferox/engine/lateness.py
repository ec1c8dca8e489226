"""The immediate refusal of requests that cannot be answered in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

from inferox.core import DeadlineExceededError, OverloadedError
from inferox.engine.queue import RequestQueue
from inferox.engine.queue_entry import Part
from inferox.engine.request import Request
from inferox.engine.workload import Workload


class Lateness:
    """Predicts whether a request would be answered too late. Thread-safe.

    Args:
        queue: The queue of waiting requests.
        estimate_s: Estimates the seconds that rows take, in all lanes together; ``None`` if that is not known.
        lanes: The number of batches that may be computed at once.
    """

    def __init__(
        self, queue: RequestQueue, estimate_s: Callable[[Workload], float | None], lanes: Callable[[], int]
    ) -> None:
        self._queue, self._estimate_s, self._lanes = queue, estimate_s, lanes
        self._lock = Lock()
        self._ends_s: dict[object, float] = {}

    @contextmanager
    def computing(self, parts: Sequence[Part]) -> Iterator[None]:
        """Records that a batch is computed during the block.

        Args:
            parts: The batch.
        """
        batch, work = object(), Workload()
        for part in parts:
            work = work.plus(part.request.work_of(part.rows))
        with self._lock:
            self._ends_s[batch] = time.monotonic() + (self._estimate_s(work) or 0.0)
        try:
            yield
        finally:
            with self._lock:
                del self._ends_s[batch]

    def refuse(self, request: Request) -> None:
        """Refuses a request that cannot be ready in time, because of itself, the queue, or running batches.

        If nothing waits or runs, it is tried: an estimate that is too high would otherwise never be corrected.

        Args:
            request: The request, which is not in the queue yet.

        Raises:
            DeadlineExceededError: If it would take too long even alone.
            OverloadedError: If it would be late because of others.
        """
        if request.options.deadline_s is None:
            return
        waiting, busy_s = self._queue.count_waiting(), self._count_busy_s()
        if not waiting.rows and not busy_s:
            return
        alone_s = self._estimate_s(request.waiting_work)
        all_s = self._estimate_s(waiting.plus(request.waiting_work))
        if alone_s is None or all_s is None:
            return
        left_s = request.deadline_s - time.monotonic()
        if alone_s > left_s and waiting.rows:
            raise DeadlineExceededError(
                f"it takes {alone_s:.2g} s to compute, but the answer is needed within {left_s:.2g} s",
                hint="allow more time, or send less at once",
            )
        if busy_s + all_s > left_s:
            needed_s = busy_s + min(all_s, alone_s * self._queue.count_sharing(request.options.owner))
            if needed_s > left_s:
                raise OverloadedError(
                    f"with the queue and the running batches it takes {needed_s:.2g} s, but the answer is needed "
                    f"within {left_s:.2g} s",
                    retry_after_s=needed_s - left_s,
                )

    def _count_busy_s(self) -> float:
        """Estimates the seconds until the first running batch ends; 0 if another may begin at once.

        A batch that takes longer than expected may end at any moment.
        """
        with self._lock:
            ends_s = list(self._ends_s.values())
        return 0.0 if len(ends_s) < self._lanes() else max(0.0, min(ends_s) - time.monotonic())
