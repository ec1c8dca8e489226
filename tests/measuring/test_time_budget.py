"""The duration of a measurement, on a clock that only the measured calls advance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import Artifact, ConfigError
from inferox.measuring.comparison import FULL
from inferox.measuring.comparison.artifact_run import ArtifactRun
from inferox.measuring.comparison.schedule import Schedule
from inferox.measuring.comparison.worker_process import WorkerError, WorkerTimeoutError
from inferox.measuring.time_budget import Ending, TimeBudget
from inferox.package import open_package
from tests.measuring.comparison.faulty import write_faulty_package


@dataclass
class Clock:
    now_s: float = 0.0


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Artifact]:
    """Four artifacts, of which only the names matter here."""
    return open_package(write_faulty_package(tmp_path_factory.mktemp("p") / "p", [None] * 4)).artifacts


def test_what_a_program_took_to_start_and_what_it_needs_to_end_is_not_there_to_measure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr("inferox.measuring.time_budget.monotonic", lambda: clock.now_s)
    budget = TimeBudget(60, used_s=5, reserve_s=3)
    assert (budget.used_s, budget.left_s) == (5, 52)
    clock.now_s += 50
    assert (budget.used_s, budget.left_s) == (55, 2)
    assert budget.fits(2)
    assert not budget.fits(2.1)
    assert TimeBudget.of(budget) is budget
    assert TimeBudget.of(None).left_s == math.inf


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, True, "60"])
def test_invalid_times_are_refused(seconds: Any) -> None:
    with pytest.raises(ConfigError, match="seconds must be a positive number, but is"):
        TimeBudget.of(seconds)


@dataclass
class ClockedWorker:
    """Answers after a given time, or is given up when its time is over.

    Attributes:
        clock: A clock that only its work advances.
        times_s: The seconds that each artifact takes to start, and for an item.
    """

    clock: Clock
    times_s: Mapping[str, tuple[float, float]]
    artifact: str = ""
    age_s: float = 0.0

    def ask(self, command: str, *, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        self.artifact = arguments.get("artifact", self.artifact)
        start_s, item_s = self.times_s[self.artifact]
        calls_s = max(arguments.get("budget_s", 0.0), 3 * item_s)
        needed_s = {"load": start_s, "throughput": arguments.get("items", 0) * item_s, "latency": calls_s}
        taken_s = needed_s.get(command, item_s)
        self.clock.now_s += min(taken_s, max(timeout_s, 0.0))
        if taken_s > timeout_s:
            raise WorkerTimeoutError("late")
        return {
            "load": {"load_s": start_s, "device": "cpu", "version": "1"},
            "describe": {"lengths": [8, 64, 256], "typical": 1},
            "throughput": {"rows": 1, "tokens": 1, "seconds": taken_s},
            "latency": {"seconds": [item_s]},
            "memory": {"peak_memory_bytes": 1},
            "parity": {"evidence": None},
        }[command]

    def end(self) -> None:
        pass


def run_schedule(
    artifacts: Sequence[Artifact], times_s: Sequence[tuple[float, float]], seconds: float
) -> tuple[Schedule, list[ArtifactRun], TimeBudget, Ending]:
    """Measures artifacts that take some seconds to start and for each item, by the budget of a command."""
    clock = Clock()
    times = dict(zip([artifact.name for artifact in artifacts], times_s, strict=False))
    runs = [ArtifactRun(artifact.name, artifact, None) for artifact in artifacts if artifact.name in times]
    with pytest.MonkeyPatch.context() as patch:
        for place in ("time_budget", "comparison.schedule", "comparison.artifact_run"):
            patch.setattr(f"inferox.measuring.{place}.monotonic", lambda: clock.now_s)
        patch.setattr(
            "inferox.measuring.comparison.artifact_run.WorkerProcess", lambda **_: ClockedWorker(clock, times)
        )
        budget = TimeBudget(seconds, used_s=2.5, reserve_s=0.05 * seconds)
        schedule = Schedule(runs, {"threads": 1}, FULL, budget, lambda *_: None)
        ending = schedule.run()
        assert budget.used_s <= 0.95 * seconds + 1e-6
    return schedule, runs, budget, ending


TIMES_S = st.lists(st.tuples(st.floats(0.2, 30), st.floats(1e-4, 1.0)), min_size=1, max_size=4)


@given(TIMES_S, st.floats(10, 300))
def test_a_comparison_ends_in_time_whatever_artifacts_take(
    artifacts: Sequence[Artifact], times_s: list[tuple[float, float]], seconds: float
) -> None:
    _, runs, _, ending = run_schedule(artifacts, times_s, seconds)
    assert ending is not Ending.COMPLETE or all(run.has_answer for run in runs)


def test_where_time_is_short_repetitions_are_given_up_and_not_artifacts(artifacts: Sequence[Artifact]) -> None:
    schedule, runs, _, ending = run_schedule(artifacts, [(9.0, 0.05)] * 4, 60)
    assert [run.reason for run in runs] == [None] * 4
    assert all(run.has_answer for run in runs)
    assert schedule.plan.throughput_s < FULL.throughput_s
    assert (schedule.plan.rounds, {len(run.throughput) for run in runs}) == (1, {2})
    assert (ending, [len(run.starts) for run in runs]) == (Ending.COMPLETE, [1] * 4)
    enough, quick, _, ending = run_schedule(artifacts, [(0.5, 0.001)] * 4, 120)
    assert (enough.plan.latency_s, enough.plan.repeats_lengths) == (FULL.latency_s, True)
    assert (ending, [len(run.starts) for run in quick]) == (Ending.COMPLETE, [3] * 4)


def test_other_lengths_that_come_last_come_again_before_further_starts(artifacts: Sequence[Artifact]) -> None:
    schedule, runs, _, ending = run_schedule(artifacts, [(3.0, 0.02)] * 4, 80)
    assert (ending, schedule.plan.repeats_lengths, schedule.plan.rounds) == (Ending.COMPLETE, False, 4)
    assert {len(run.latency[index]) for run in runs for index in (0, 2)} == {4}
    # The typical one was also measured when it was started.
    assert {len(run.latency[1]) for run in runs} == {5}


def test_a_round_that_did_not_fit_into_the_plan_is_measured_if_there_is_time_in_the_end(
    artifacts: Sequence[Artifact],
) -> None:
    schedule, runs, _, ending = run_schedule(artifacts, [(3.0, 0.02)] * 4, 60)
    assert (ending, schedule.plan.rounds) == (Ending.COMPLETE, 2)
    assert {len(run.throughput) for run in runs} == {len(run.latency[0]) for run in runs} == {3}
    # One that does not fit is not begun.
    _, runs, _, ending = run_schedule(artifacts, [(3.0, 0.05)] * 4, 40)
    assert (ending, {len(run.throughput) for run in runs}) == (Ending.COMPLETE, {2})
    assert {len(run.starts) for run in runs} == {1}


def test_one_that_fails_when_a_length_comes_again_keeps_its_figures(
    artifacts: Sequence[Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, ask, asked = artifacts[0].name, ClockedWorker.ask, 0

    def fail_at_last(self: ClockedWorker, command: str, *, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        nonlocal asked
        if self.artifact == first and arguments.get("index") == 0:
            asked += 1
            if asked == 3:
                raise WorkerError("the device is gone")
        return ask(self, command, timeout_s=timeout_s, **arguments)

    monkeypatch.setattr(ClockedWorker, "ask", fail_at_last)
    _, runs, _, ending = run_schedule(artifacts, [(3.0, 0.02)] * 4, 80)
    assert ending is Ending.COMPLETE
    assert [run.failure for run in runs] == ["failed when it was measured again: the device is gone", None, None, None]
    assert [len(run.latency[0]) for run in runs] == [2, 4, 4, 4]


def test_what_there_is_no_time_to_start_is_named(artifacts: Sequence[Artifact]) -> None:
    _, runs, _, ending = run_schedule(artifacts, [(16.0, 0.01)] * 4, 60)
    assert [run.has_answer for run in runs] == [True, True, True, False]
    assert ending is Ending.OUT_OF_TIME
    assert "starting the others took" in str(runs[3].reason)
