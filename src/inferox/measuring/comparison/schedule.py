"""The schedule of a comparison's measurements within a time budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

from inferox.measuring.comparison.artifact_run import ArtifactRun
from inferox.measuring.comparison.plan import ENOUGH_ROUNDS, LEAST_LATENCY_S, Plan
from inferox.measuring.comparison.worker_process import WorkerError, WorkerTimeoutError
from inferox.measuring.time_budget import Ending, TimeBudget
from inferox.measuring.timing import order_turns

Progress = Callable[[str, float, float], None]
"""A callback that takes the current step, the seconds used, and the seconds in total: infinity for no limit."""

_CALIBRATION_ITEMS = 16
_FEWEST_ITEMS, _MOST_ITEMS = 8, 1024
"""The fewest and the most items of mixed lengths that a round computes, however long they take."""

_ENOUGH_ITEMS = 64
"""The items of mixed lengths that come before a second round: the speed with fewer depends on which they are."""

FAIR_ITEMS = 256
"""The items of mixed lengths from which a library beside the artifacts can be compared with: it sorts them by length
and pads batches of 32, so that with few items most of what it computes may be padding."""

_STARTING_SHARE = 0.75
"""The share of the time for first answers: when time is short, repetitions are given up before artifacts are."""

_START_LIMIT_SHARE = 0.3
"""The share of the time that one start may take, which leaves some for the others; larger if there are few others."""

_ROUNDS_SHARE = 0.85
"""The share of the time left after the starts that is planned for the rounds: memory and parity need some as well."""


class _TimeOverError(Exception):
    """The next step does not fit into the time that is left."""


class Schedule:
    """The schedule of measurements, each taken of all artifacts in turn.

    Every artifact is started once, and gives a first answer at once: a few rows of mixed lengths, and a typical one.
    The first round measures the same for longer, then memory and parity, then rows of the other lengths, so that a
    comparison that is cut short has answers, and lacks only details. As many rounds follow as the time allows, up to
    the plan's, and at the end more starts. If time is short, the other lengths come after the rounds; what is left of
    it then is for rounds that did not fit into the plan, up to three in all, and for the other lengths as often as
    there were rounds.

    Args:
        runs: The artifacts that take part.
        load: The arguments for loading, besides the artifact's name.
        plan: The plan, which is scaled to the time once the artifacts have been started.
        budget: The time budget.
        progress: Called with the progress; see ``Progress``.

    Attributes:
        plan: The plan, as scaled.
        unreached: The names of the artifacts that were not started for lack of time.
    """

    def __init__(
        self, runs: Sequence[ArtifactRun], load: dict[str, Any], plan: Plan, budget: TimeBudget, progress: Progress
    ) -> None:
        self.plan = plan
        self.unreached: list[str] = []
        self._runs = runs
        self._load = load
        self._budget = budget
        self._progress = progress
        self._taken_s: dict[tuple[str, str], float] = {}
        self._lengths = self._typical = self._items = 0
        self._enough_rounds = min(plan.rounds, ENOUGH_ROUNDS)
        self._repetition: str | None = None

    def run(self) -> Ending:
        """Measures until everything is measured, the time is over, or the user stops it.

        Raises:
            KeyboardInterrupt: If the user stops it before any artifact has an answer.
        """
        try:
            self._start_all()
            self._fit_plan()
            for number in range(self.plan.rounds):
                self._round(number)
            if not self.plan.repeats_lengths:
                self._other_lengths(0, "other lengths")
            self._repeat()
        except _TimeOverError:
            return Ending.OUT_OF_TIME
        except KeyboardInterrupt:
            if not any(run.has_answer for run in self._running()):
                raise
            return Ending.INTERRUPTED
        return Ending.OUT_OF_TIME if self.unreached else Ending.COMPLETE

    def _start_all(self) -> None:
        share = max(_START_LIMIT_SHARE, _STARTING_SHARE / max(len(self._running()), 1))
        limit_s, longest_s = share * self._budget.total_s, 0.0
        least_s = 0.0 if math.isinf(self._budget.total_s) else (1 - _STARTING_SHARE) * self._budget.left_s
        for run in self._running():
            began_s = self._budget.used_s
            if longest_s and self._budget.left_s < max(least_s, longest_s):
                run.reason = (
                    f"starting the others took {began_s:.0f} of the {self._budget.total_s:g} s; allow more seconds"
                )
                self.unreached.append(run.name)
                continue
            self._step(run, "starting", lambda run: run.start(self._load), limit_s=limit_s)
            if run.reason is None:
                look = lambda run: run.look_ahead(_CALIBRATION_ITEMS, LEAST_LATENCY_S)  # noqa: E731
                self._step(run, "first answers", look, limit_s=limit_s)
            longest_s = max(longest_s, self._budget.used_s - began_s)

    def _fit_plan(self) -> None:
        running = self._running()
        # A library beside the artifacts may pad a few items to the longest, which says little about many.
        seconds = [run.calibration["seconds"] for run in running if run.artifact is not None] or [1.0]
        item_s = sum(seconds) / len(seconds) / _CALIBRATION_ITEMS
        # All artifacts have the same task, so any of them can describe what there is to measure.
        self._lengths = len(running[0].facts["lengths"]) if running else 0
        self._typical = running[0].facts["typical"] if running else 0
        rounds_s = _ROUNDS_SHARE * self._budget.left_s
        if len(seconds) < len(running):
            self.plan = replace(self.plan, throughput_s=max(self.plan.throughput_s, FAIR_ITEMS * item_s))
        self.plan = self.plan.fit(
            rounds_s,
            artifacts=max(len(running), 1),
            lengths=max(self._lengths, 1),
            enough_s=_ENOUGH_ITEMS * item_s,
        )
        self._items = _items_for(self.plan.throughput_s, item_s)

    def _round(self, number: int) -> None:
        text = f"round {number + 1} of {max(self.plan.rounds, number + 1)}"
        self._each(f"{text}: rows of mixed lengths", lambda run: run.measure_throughput(self._items), number)
        self._latency(number, self._typical, text)
        if number == 0:
            self._each(f"{text}: memory", lambda run: run.measure_memory())
            self._each(f"{text}: parity", lambda run: run.measure_parity())
        if self.plan.repeats_lengths:
            self._other_lengths(number, text)

    def _other_lengths(self, number: int, text: str) -> None:
        for index in range(self._lengths):
            if index != self._typical:
                self._latency(number, index, text)

    def _latency(self, number: int, index: int, text: str) -> None:
        what = f"{text}: row {index + 1} of {self._lengths}"
        self._each(what, lambda run: run.measure_latency(index, self.plan.latency_s), number)

    def _repeat(self) -> None:
        """Measures further rounds and the other lengths again, and starts all again, if the time allows it.

        One that fails keeps its figures, and the failure is reported beside them.
        """
        try:
            self._repetition = "measured again"
            rounds = self.plan.rounds
            while rounds < self._enough_rounds and self._budget.fits(self._expected_round_s()):
                self._round(rounds)
                rounds += 1
            if not self.plan.repeats_lengths:
                for number in range(1, rounds):
                    self._other_lengths(number, "other lengths")
            self._repetition = "started again"
            for number in range(1, self.plan.starts):
                if not self._budget.fits(sum(self._taken_s[run.name, "starting"] for run in self._running())):
                    return
                self._each("starting", lambda run: run.start(self._load), number)
        except _TimeOverError:
            return

    def _expected_round_s(self) -> float:
        """Returns the seconds that another round takes: the first one also computed untimed, and measured memory."""
        return math.fsum(run.throughput[-1]["seconds"] + self.plan.latency_s for run in self._running())

    def _running(self) -> list[ArtifactRun]:
        return [run for run in self._runs if run.reason is None and run.failure is None]

    def _drop(self, run: ArtifactRun, why: str) -> None:
        # An artifact that was measured to the end keeps its figures, and the failure is reported beside them.
        run.leave()
        if self._repetition:
            run.failure = f"failed when it was {self._repetition}: {why}"
        else:
            run.reason = f"failed after its first answer: {why}" if run.has_answer else why

    def _each(self, what: str, act: Callable[[ArtifactRun], None], number: int = 0) -> None:
        """Runs an action on all runs that still take part, in turn."""
        # If the time ends in the first round, a library beside the artifacts is what may be missing.
        for run in order_turns(sorted(self._running(), key=lambda run: run.artifact is None), number):
            self._step(run, what, act)

    def _step(
        self, run: ArtifactRun, what: str, act: Callable[[ArtifactRun], None], *, limit_s: float = math.inf
    ) -> None:
        name, kind, left_s = run.name, what.partition(": ")[2] or what, self._budget.left_s
        if not self._budget.fits(self._taken_s.get((name, kind), 0.0)):
            raise _TimeOverError
        self._progress(f"{what}: {name}", self._budget.used_s, self._budget.total_s)
        run.limit_s = limit_s = min(self.plan.timeout_s, left_s, limit_s)
        began_s = monotonic()
        try:
            act(run)
        except WorkerTimeoutError as error:
            if limit_s == left_s:
                run.leave()
                raise _TimeOverError from None
            is_for_time = limit_s < self.plan.timeout_s
            self._drop(run, f"{error}{'; allow more seconds' if is_for_time else ''}")
            if is_for_time:
                self.unreached.append(name)
        except WorkerError as error:
            self._drop(run, str(error))
        self._taken_s[name, kind] = monotonic() - began_s


def order_starts(runs: Sequence[ArtifactRun], peer: ArtifactRun | None) -> list[ArtifactRun]:
    """Orders the starts of artifacts; if the time is short, the last are given up first.

    One artifact of each backend and precision comes first, then the library beside them, and then their other layouts,
    which differ least from what has been measured by then.

    Args:
        runs: The artifacts, the best first.
        peer: The library beside them; ``None`` if there is none.
    """
    firsts: dict[tuple[str, str], str] = {}
    for run in runs:
        if run.artifact is not None and run.reason is None:
            firsts.setdefault((run.artifact.backend, run.artifact.precision.value), run.name)
    chosen = [run for run in runs if run.name in firsts.values()]
    return [*chosen, *([] if peer is None else [peer]), *(run for run in runs if run.name not in firsts.values())]


def _items_for(budget_s: float, item_s: float) -> int:
    # Rounded up, so that the time for some items is enough for them.
    return min(max(math.ceil(budget_s / max(item_s, 1e-9) - 1e-6), _FEWEST_ITEMS), _MOST_ITEMS)
