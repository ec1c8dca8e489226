"""The artifacts that can compute a model: one serves, and others take over if it fails."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

from inferox.batching import BatchBudget
from inferox.core import Closing
from inferox.engine.candidates import Candidates
from inferox.engine.executor import BatchExecutor
from inferox.engine.memory_budget import Evictable, MemoryBudget, size_of
from inferox.engine.monitor import Monitor
from inferox.engine.queue import RequestQueue
from inferox.engine.thread_start import start_thread
from inferox.engine.workload import Workload
from inferox.loading import PlannedLoad, TaskModel

_logger = logging.getLogger(__name__)

_LEAST_STAY = 2
"""The time for which a model with waiting requests is not evicted, as a multiple of its loading time."""


class Lineup(Closing, Evictable):
    """The artifacts of one embedding space that can compute a model. Thread-safe.

    One serves. If it fails its stored samples, it is taken out of service and closed, and the next that loads and
    passes takes over. Artifacts that the plan prefers to the serving one are retried from time to time, until one
    passes and takes over. If other models need the memory, the serving artifact is evicted, and loaded again on its
    next use.

    Args:
        name: The name of the model in the engine.
        loaded: The artifact that serves first.
        planned: The package; ``None`` if there is none, and so no other artifact. If it starts fast, the artifacts that
            the plan prefers are prepared at once, and the best takes over; if it is to be compiled, it replaces itself.
        make_executor: Makes the executor of an artifact, for a shift of a given number.
        retry_s: The seconds after which a failed artifact is tried again; doubled after each failure.
        memory: The memory budget of the engine.
        queue: The queue of requests for the model.
    """

    def __init__(
        self,
        name: str,
        loaded: TaskModel,
        planned: PlannedLoad | None,
        make_executor: Callable[[TaskModel, int], BatchExecutor],
        *,
        retry_s: float,
        memory: MemoryBudget,
        queue: RequestQueue,
    ) -> None:
        self._name = name
        self._make_executor = make_executor
        self._memory = memory
        self._queue = queue
        self._candidates = Candidates(name, loaded.metadata.artifact, planned, retry_s=retry_s)
        self._outages = self._candidates.outages
        self._condition = Monitor()
        self._executor = make_executor(loaded, 0)
        self._uses = Counter[BatchExecutor]()
        self._failovers = self._evictions = 0
        self._is_open, self._is_changing, self._is_closed, self._is_makeshift = True, False, False, False
        self._prober: Thread | None = None
        self.used_s = self._opened_s = time.monotonic()
        self._loading_s, self._pauses = 0.0, 0
        memory.hold(self, size_of(loaded))
        if planned is not None and planned.starts_fast:
            self._is_makeshift = planned.is_makeshift(loaded)
            for better in self._preferred():
                self._outages.expect(better)
            self._start_probing()

    @property
    def current(self) -> BatchExecutor:
        """The executor of the serving artifact."""
        return self._executor

    @property
    def standby(self) -> tuple[str, ...]:
        """Lists the names of the artifacts that can take over, the best first."""
        return self._candidates.besides(self._serving)

    @property
    def failovers(self) -> int:
        """The number of times an artifact was taken out of service."""
        return self._failovers

    @property
    def evictions(self) -> int:
        """The number of times the model was closed because others needed its memory."""
        return self._evictions

    @property
    def is_open(self) -> bool:
        """True if the model is in memory."""
        return self._is_open

    @property
    def can_return(self) -> bool:
        """True if it can be loaded again, because it comes from a package."""
        return bool(self._candidates)

    @property
    def is_wanted(self) -> bool:
        """True if rows wait for it."""
        return self._queue.count_waiting().rows > 0

    def budget(self) -> BatchBudget:
        """The current limits of a batch."""
        return self._executor.budget()

    def estimate_s(self, work: Workload) -> float | None:
        """Estimates the seconds that rows take; ``None`` if that is not known.

        Args:
            work: The work of the rows.
        """
        return self._executor.estimate_s(work)

    @contextmanager
    def use(self) -> Iterator[BatchExecutor]:
        """Keeps the serving artifact open during the block. Waits while it is loaded or replaced.

        Raises:
            InferoxError: If it cannot be loaded again.
        """
        executor = self._begin_use()
        try:
            yield executor
        finally:
            with self._condition:
                self._uses[executor] -= 1
                if not self._uses[executor]:
                    del self._uses[executor]
                self.used_s = time.monotonic()
                is_over = self._is_over(executor)
            if is_over:
                self._close_if_unused(executor)

    def replace(self, executor: BatchExecutor) -> None:
        """Takes an artifact that failed its stored samples out of service, and replaces it with the next.

        Args:
            executor: The executor of the artifact.

        Raises:
            ExecutionError: If no other can take its place. Then it goes on, in case it recovers.
        """
        with self._condition:
            self._condition.wait_for(lambda: not self._is_changing)
            if self._executor is not executor:
                return  # another thread has done it
            self._is_changing = True
        try:
            cause = executor.suspicion.cause
            _logger.error("%s: %s fails its stored samples: %s", self._name, self._serving, cause)
            if not self._fail_over(cause):
                self._begin_shift(executor.loaded)
                raise self._candidates.explain_end(self._serving, cause)
        finally:
            self._end_change()

    def evict(self) -> bool:
        """Closes the model for now, unless it is in use, or was only just loaded for waiting requests.

        Returns:
            Whether it was closed.
        """
        is_new = self.is_wanted and self._is_new
        with self._condition:
            if is_new or self._is_changing or self._uses.total() or not self._is_open or self._is_closed:
                return False
            self._is_open = False
            self._evictions += 1
            self._executor.close_for_now()
        _logger.info("%s: %s makes room for other models", self._name, self._serving)
        return True

    def pause(self) -> bool:
        """Begins no further batch until ``resume``, unless the model was only just loaded."""
        with self._condition:
            may_pause = self._is_open and not self._is_new
            self._pauses += may_pause
            return may_pause

    def resume(self) -> None:
        """Ends a pause."""
        with self._condition:
            self._pauses -= 1
            self._condition.notify_all()

    def end(self, timeout_s: float | None = None) -> None:
        """Tries no other artifact any more, and waits for one that is being loaded.

        Args:
            timeout_s: The longest time to wait; ``None`` for no limit.
        """
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
        if (prober := self._prober) is not None:  # no other begins any more
            prober.join(timeout_s)

    def close(self) -> None:
        """Closes the serving artifact, once it is not in use."""
        self.end()
        try:
            self._close_if_unused(self._executor)
        finally:
            self._memory.hold(self, 0)

    @property
    def _is_new(self) -> bool:
        return time.monotonic() - self._opened_s < _LEAST_STAY * self._loading_s

    @property
    def _serving(self) -> str:
        return self._executor.shift.metadata.artifact

    def _preferred(self) -> list[str]:
        """Lists the artifacts that should take over. The serving one is included if it is not compiled as requested."""
        return self._candidates.all() if self._is_makeshift else self._candidates.preferred_to(self._serving)

    def _begin_use(self) -> BatchExecutor:
        while True:
            with self._condition:
                while self._is_changing or self._pauses:
                    self._condition.wait()
                if self._is_open:
                    self._uses[self._executor] += 1
                    return self._executor
                self._is_changing = True
            try:
                self._return()
            finally:
                self._end_change()

    def _end_change(self) -> None:
        with self._condition:
            self._is_changing = False
            self._condition.notify_all()

    def _return(self) -> None:
        """Loads the evicted model again, or another artifact if that fails."""
        executor = self._executor
        with self._memory.reserve(size_of(executor.loaded)):
            began_s = time.monotonic()
            try:
                executor.loaded = self._candidates.open(self._serving)
            except Exception as error:  # a third-party backend or task may raise anything
                if not self._fail_over(str(error)):
                    raise
            with self._condition:
                self._is_open, self._is_makeshift = True, False
                self._opened_s = time.monotonic()
                self._loading_s = self._opened_s - began_s
            self._memory.hold(self, size_of(self._executor.loaded))

    def _fail_over(self, cause: str) -> bool:
        """Lets the next artifact take over, if there is one; the serving one is then retried later."""
        failed = self._serving
        for name in self.standby:
            if not self._outages.left_s(name) and (found := self._candidates.try_to_open(name)) is not None:
                self._outages.begin(failed, cause)
                self._failovers += 1
                self._install(found)
                self._start_probing()
                return True
        return False

    def _install(self, loaded: TaskModel) -> None:
        """Makes an artifact serve from the next batch on."""
        with self._condition:
            if self._is_makeshift:
                for name in self._candidates.all():
                    self._outages.end(name)  # one that cannot be compiled is not retried, as when loaded at once
            before = self._begin_shift(loaded)
            self._is_open = True
        self._memory.hold(self, size_of(loaded))
        _logger.info("%s: %s takes over from %s", self._name, self._serving, before.shift.metadata.artifact)
        self._close_if_unused(before)

    def _begin_shift(self, loaded: TaskModel) -> BatchExecutor:
        """Makes an artifact compute from now on, with a clean record, and returns the previous executor."""
        with self._condition:
            before = self._executor
            self._is_makeshift &= loaded is before.loaded
            self._executor = self._make_executor(loaded, before.shift.number + 1)
            self._queue.set_lanes(self._executor.lanes)
            return before

    def _close_if_unused(self, executor: BatchExecutor) -> None:
        with self._condition:
            if self._uses[executor] or not self._is_over(executor):
                return
        executor.loaded.close()

    def _is_over(self, executor: BatchExecutor) -> bool:
        """Returns whether an executor is not to be used again, and so is closed once it is not in use."""
        return self._is_closed or executor.loaded is not self._executor.loaded

    def _start_probing(self) -> None:
        with self._condition:
            if self._prober is None and not self._is_closed:
                self._prober = start_thread(f"inferox-{self._name}-probe", self._probe)
                if self._prober is None:
                    _logger.warning("%s: nothing is tried again: no thread can be started", self._name)

    def _probe(self) -> None:
        """Retries the artifacts that are preferred to the serving one, until the best of all serves again."""
        while (name := self._wait_for_due()) is not None:
            try:
                self._try_again(name)
            except Exception as error:
                _logger.exception("%s: %s cannot take over", self._name, name)
                self._outages.begin(name, str(error))

    def _try_again(self, name: str) -> None:
        if (found := self._candidates.try_to_open(name)) is None:
            return
        with self._condition:
            self._condition.wait_for(lambda: not self._is_changing)
            is_wanted = self._is_open and not self._is_closed and name in self._preferred()
            self._is_changing = is_wanted  # otherwise it might be evicted, or loaded again, in the middle of it
        if not is_wanted:
            found.close()
            self._outages.begin(name, "the model was evicted meanwhile")
            return
        try:
            self._install(found)
        finally:
            self._end_change()

    def _wait_for_due(self) -> str | None:
        """Waits until an artifact is due to be tried; ``None`` once there are no more to try."""
        with self._condition:
            while not self._is_closed and (due := self._outages.next_due(self._preferred())):
                name, left_s = due
                if not left_s and self._is_open:
                    return name
                self._condition.wait(left_s or None)
            self._prober = None
            return None
