"""The artifacts that can compute a model: one serves, and others take over where it fails."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Condition, Thread

from inferox.core import Closing, ExecutionError, InferoxError
from inferox.engine.executor import BatchExecutor
from inferox.loading import PlannedLoad, TaskModel

_logger = logging.getLogger(__name__)

_LONGEST = 64
"""How long an artifact is left alone at most, as a multiple of the first time."""


@dataclass(frozen=True)
class _Outage:
    """Why an artifact was not to be had.

    Attributes:
        reason: How it failed last.
        wait_s: For how many seconds it is left alone.
        until_s: When it is tried again.
    """

    reason: str
    wait_s: float
    until_s: float


class Lineup(Closing):
    """The artifacts of one embedding space that can compute a model. Several threads may use it.

    One serves. Where it fails its stored samples, it is taken out and closed, and the next that loads and passes them
    takes over. Those that the plan prefers to the one that serves are loaded again from time to time, until one passes;
    it takes over then.

    Args:
        name: The name of the model in the engine.
        loaded: The artifact that serves first.
        planned: The package; ``None`` where there is none, and so no other artifact.
        make_executor: Makes what computes rows with an artifact, in a shift of a number.
        retry_s: After how many seconds an artifact that was taken out is tried again; twice as many after each failure.
    """

    def __init__(
        self,
        name: str,
        loaded: TaskModel,
        planned: PlannedLoad | None,
        make_executor: Callable[[TaskModel, int], BatchExecutor],
        *,
        retry_s: float,
    ) -> None:
        self._name = name
        self._make_executor = make_executor
        self._retry_s = retry_s
        self._artifacts: dict[str, Callable[[], TaskModel]] = {}
        if planned is not None:
            alike = planned.find_alike(loaded.metadata.artifact)
            self._artifacts = {artifact.name: partial(planned.open, artifact) for artifact in alike}
        self._condition = Condition()
        self._executor = make_executor(loaded, 0)
        self._uses = Counter[BatchExecutor]()
        self._outages: dict[str, _Outage] = {}
        self._is_out: set[str] = set()
        self._failovers = 0
        self._is_replacing = self._is_closed = False
        self._prober: Thread | None = None

    @property
    def current(self) -> BatchExecutor:
        """What serves."""
        return self._executor

    @property
    def standby(self) -> tuple[str, ...]:
        """The names of the artifacts that can take over, the best first."""
        return tuple(name for name in self._artifacts if name != self._executor.shift.metadata.artifact)

    @property
    def failovers(self) -> int:
        """How often an artifact was taken out."""
        return self._failovers

    @contextmanager
    def use(self) -> Iterator[BatchExecutor]:
        """What serves, which stays open for the block. Waits while one artifact replaces another."""
        with self._condition:
            self._condition.wait_for(lambda: not self._is_replacing)
            executor = self._executor
            self._uses[executor] += 1
        try:
            yield executor
        finally:
            with self._condition:
                self._uses[executor] -= 1
            self._close_if_unused(executor)

    def replace(self, executor: BatchExecutor) -> None:
        """Takes an artifact out, which failed its stored samples, and puts the next into its place.

        Args:
            executor: What computed with it.

        Raises:
            ExecutionError: If no other can take its place. It goes on then, in case it recovers.
        """
        with self._condition:
            self._condition.wait_for(lambda: not self._is_replacing)
            if self._executor is not executor:
                return  # another thread has done it
            self._is_replacing = True
        cause, artifact = executor.suspicion.cause, executor.shift.metadata.artifact
        _logger.error("%s: %s fails its stored samples: %s", self._name, artifact, cause)
        try:
            found = self._open_next(artifact)
            if found is not None:
                self._note_failure(artifact, cause)
                self._failovers += 1
                self._install(found)
                self._start_probing()
        finally:
            with self._condition:
                self._is_replacing = False
                self._condition.notify_all()
        if found is None:
            executor.suspicion.lift()
            raise self._nothing_left(artifact, cause) from cause

    def close(self) -> None:
        """Closes what serves, once it is not used."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
            prober = self._prober
        if prober is not None:
            prober.join()
        self._close_if_unused(self._executor)

    def _open_next(self, failed: str) -> TaskModel | None:
        with self._condition:
            now_s = time.monotonic()
            waiting = {name for name in self._is_out if self._outages[name].until_s > now_s} | {failed}
        for name in self._artifacts:
            if name not in waiting and (found := self._try_to_open(name)) is not None:
                return found
        return None

    def _try_to_open(self, name: str) -> TaskModel | None:
        """Loads an artifact, which computes its stored samples."""
        try:
            found = self._artifacts[name]()
        except InferoxError as error:
            self._note_failure(name, error)
            _logger.warning("%s: %s cannot be loaded: %s", self._name, name, error)
            return None
        with self._condition:
            self._is_out.discard(name)
        return found

    def _note_failure(self, name: str, error: Exception | None) -> None:
        """Leaves an artifact alone for a while: for longer where it failed again soon after the last time."""
        with self._condition:
            known, now_s = self._outages.get(name), time.monotonic()
            is_soon = known is not None and now_s < known.until_s + known.wait_s
            wait_s = min(2 * known.wait_s, self._retry_s * _LONGEST) if known and is_soon else self._retry_s
            self._outages[name] = _Outage(str(error), wait_s, now_s + wait_s)
            self._is_out.add(name)

    def _install(self, loaded: TaskModel) -> None:
        """Lets an artifact serve, from the next batch on."""
        with self._condition:
            before = self._executor
            self._executor = self._make_executor(loaded, before.shift.number + 1)
        _logger.warning(
            "%s: %s takes over from %s", self._name, loaded.metadata.artifact, before.shift.metadata.artifact
        )
        self._close_if_unused(before)

    def _close_if_unused(self, executor: BatchExecutor) -> None:
        with self._condition:
            is_over = self._is_closed or executor is not self._executor
            if not is_over or self._uses[executor]:
                return
            del self._uses[executor]
        executor.loaded.close()

    def _start_probing(self) -> None:
        with self._condition:
            if self._prober is None and not self._is_closed:
                self._prober = Thread(target=self._probe, name=f"inferox-{self._name}-probe", daemon=True)
                self._prober.start()

    def _probe(self) -> None:
        """Tries the artifacts that are preferred to the one that serves, until the best of all serves again."""
        while (name := self._wait_for_due()) is not None:
            found = self._try_to_open(name)
            if found is None:
                continue
            with self._condition:
                self._condition.wait_for(lambda: not self._is_replacing)
                is_wanted = not self._is_closed and name in self._preferred()
            if is_wanted:
                self._install(found)
            else:
                found.close()

    def _wait_for_due(self) -> str | None:
        """Waits until an artifact is to be tried; ``None`` once there is none to be tried any more."""
        with self._condition:
            while not self._is_closed and (waiting := [name for name in self._preferred() if name in self._is_out]):
                due = min(waiting, key=lambda name: self._outages[name].until_s)
                left_s = self._outages[due].until_s - time.monotonic()
                if left_s <= 0:
                    return due
                self._condition.wait(left_s)
            self._prober = None
            return None

    def _preferred(self) -> list[str]:
        """The artifacts that come before the one that serves."""
        names = list(self._artifacts)
        return names[: names.index(self._executor.shift.metadata.artifact)]

    def _nothing_left(self, artifact: str, cause: Exception | None) -> ExecutionError:
        with self._condition:
            reasons = {name: self._outages[name].reason for name in self.standby if name in self._is_out}
        others = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        there = f"none of the others of its embedding space can take over ({others})" if others else "there is no other"
        return ExecutionError(
            f"{artifact} fails its own stored samples, and {there}: {cause}",
            hint="'inferox verify' measures the whole package again",
        )
