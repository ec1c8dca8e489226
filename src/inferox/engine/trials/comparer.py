"""The recomputation of requests, after they are answered and when nobody waits."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from copy import deepcopy
from dataclasses import dataclass, replace
from threading import Thread
from typing import Any

from inferox.core import CapacityError, Closing, InferoxError
from inferox.engine.answer import Answer
from inferox.engine.monitor import Monitor
from inferox.engine.option_values import MOST_PRIORITY
from inferox.engine.request import RequestOptions
from inferox.engine.thread_start import start_thread
from inferox.engine.trials.drift import Drift, find_tolerance, measure_drift
from inferox.engine.trials.stats import TrialRecorder

_logger = logging.getLogger(__name__)

MOST_ROWS = 32
"""The most items of a request that are compared: its first ones."""

MOST_WAITING = 16
"""The most requests that may wait to be compared; more are skipped."""

_BUSY_S = 0.05
"""The time that a request may always wait before the engine counts as busy."""

_PATIENCE_S = 60.0
"""The time the second computation may take."""

_LOWER_PRIORITY = 10
"""The priority penalty of the second computation, in seconds of waiting."""


@dataclass(frozen=True)
class Answered:
    """An answered request.

    Attributes:
        items: Its items.
        options: Its options.
        answer: Its answer.
    """

    items: Sequence[Any]
    options: RequestOptions
    answer: Answer


class Comparer(Closing):
    """Recomputes requests, one after another on a thread of its own, and compares the answers.

    Args:
        name: The name of the thread.
        recorder: Counts the outcomes.
        ask: Submits a request to the other artifact.
        is_shadow: Whether that is the tried artifact; otherwise the tried one gave the first answer.
        note_drift: Called with the drift of each request.
    """

    def __init__(
        self,
        name: str,
        recorder: TrialRecorder,
        ask: Callable[[Sequence[Any], RequestOptions], Future[Answer]],
        *,
        is_shadow: bool,
        note_drift: Callable[[Drift], None],
    ) -> None:
        self._name = name
        self._recorder = recorder
        self._ask = ask
        self._is_shadow = is_shadow
        self._note_drift = note_drift
        self._condition = Monitor()
        self._waiting: deque[Answered] = deque()
        self._computing: Future[Answer] | None = None
        self._is_closed = False
        self._thread: Thread | None = None

    def consider(self, answered: Answered) -> None:
        """Queues a request for comparison, unless the engine is busy or too many wait. Never blocks.

        Args:
            answered: The request. Its results are copied, as far as they are compared.
        """
        answer = answered.answer
        if answer.queue_s > max(answer.compute_s, _BUSY_S):
            self._recorder.count("busy")
            return
        with self._condition:
            if self._is_closed:
                return
            is_full = len(self._waiting) >= MOST_WAITING
            if not is_full and (results := keep_first(answer.results)) is not None:
                self._waiting.append(replace(answered, answer=replace(answer, results=results)))
                self._thread = self._thread or start_thread(self._name, self._run)
                self._condition.notify()
        if is_full:
            self._recorder.count("queue_full")

    def close(self) -> None:
        """Stops comparing, and waits for its thread."""
        with self._condition:
            self._is_closed = True
            self._waiting.clear()
            self._condition.notify_all()
            thread, computing = self._thread, self._computing
        if computing is not None:
            computing.cancel()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while (answered := self._next()) is not None:
            try:
                self._compare(answered)
            except Exception:
                _logger.exception("%s: comparing a request failed", self._name)

    def _next(self) -> Answered | None:
        with self._condition:
            self._condition.wait_for(lambda: self._waiting or self._is_closed)
            return None if self._is_closed else self._waiting.popleft()

    def _compare(self, answered: Answered) -> None:
        given = answered.answer
        options = answered.options
        priority = min(options.priority + _LOWER_PRIORITY, MOST_PRIORITY)
        later = replace(options, deadline_s=_PATIENCE_S, priority=priority)
        try:
            other = self._compute(answered.items[:MOST_ROWS], later)
        except CancelledError:
            return
        except (CapacityError, TimeoutError):
            self._recorder.count("late")
            return
        except InferoxError as error:
            self._note_failure(error)
            return
        if self._is_shadow:
            self._recorder.count("requests")
        expected, actual = (given, other) if self._is_shadow else (other, given)
        tried = other if self._is_shadow else given
        drift = measure_drift(expected.results, actual.results, tie=find_tolerance(tried.parity_class).tie)
        self._recorder.note_drift(drift)
        self._note_drift(drift)

    def _compute(self, items: Sequence[Any], options: RequestOptions) -> Answer:
        future = self._ask(items, options)
        with self._condition:
            self._computing = future
            is_closed = self._is_closed
        if is_closed:
            future.cancel()
        try:
            return future.result(_PATIENCE_S)
        finally:
            self._computing = None
            future.cancel()

    def _note_failure(self, error: InferoxError) -> None:
        if self._is_shadow:
            self._recorder.count("errors")
            # One warning is enough: all requests of its share may fail, and the metrics count failures.
            level = logging.WARNING if self._recorder.stats.errors == 1 else logging.DEBUG
            _logger.log(level, "%s: the shadow failed a request: %s", self._name, error)
        else:
            self._recorder.count("late")


def keep_first(values: Sequence[Any]) -> Sequence[Any] | None:
    """Copies the first items or results of a request, which its caller may change once it has its answer.

    Args:
        values: The items or the results.

    Returns:
        The copies; ``None`` if one cannot be copied, such as a read-only view of a dict.
    """
    try:
        return deepcopy(values[:MOST_ROWS])
    except Exception as error:  # noqa: BLE001 - classes of callers may raise anything, and the request is to be answered
        _logger.debug("a request is not compared, because its items or results cannot be copied: %s", error)
        return None
