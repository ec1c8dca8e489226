"""Measuring every artifact of a package side by side: in processes of their own, in turn, round by round."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from operator import methodcaller
from pathlib import Path
from typing import Any

from inferox.core import NoUsableBackendError
from inferox.loading.selection import AUTO, Requirements, select
from inferox.machine import resolve_threads
from inferox.machine.description import this_machine
from inferox.measuring.comparison.artifact_run import ArtifactRun
from inferox.measuring.comparison.measurements import Comparison
from inferox.measuring.comparison.plan import FULL, Plan
from inferox.measuring.comparison.worker_process import WorkerError
from inferox.measuring.timing import order_turns
from inferox.package import Package, open_package

Progress = Callable[[float, float, str], object]
"""Is told how many steps are done, of how many, and what is done now."""

_CALIBRATION_ITEMS = 16
_FEWEST_ITEMS, _MOST_ITEMS = 8, 1024
"""How many items of mixed lengths a round computes, whatever their time."""


def compare(
    path: str | Path,
    backend: str = AUTO,
    device: str | None = None,
    *,
    threads: int | None = None,
    trust_code: bool = False,
    plan: Plan = FULL,
    progress: Progress = lambda _done, _total, _text: None,
) -> Comparison:
    """Measures every artifact of a package that can be run here.

    Each is loaded in a process of its own. Only one of them computes at any time, and every measurement goes round all
    of them before the next begins, so that whatever else the machine does affects all of them alike.

    Args:
        path: A package: a folder, or an ``.mlpkg`` file.
        backend: The only backend to measure, or ``auto`` for all.
        device: Where to run, such as ``cuda:0``; ``None`` for each backend's default device.
        threads: How many CPU threads each runtime may use; ``None`` for one per core that this process may use.
        trust_code: Whether code that comes with the package may run.
        plan: How much is measured, and for how long.
        progress: Is told how far it has come.

    Raises:
        PackageError: If there is no package, or it is damaged or unsafe.
        BackendNotFoundError: If the backend that is asked for is not registered.
        NoUsableBackendError: If no artifact can be run here; it lists the reason for each.
        ConfigError: If the device is not valid.
    """
    began, started_at = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    package = open_package(path)
    requirements = Requirements.parse(backend, trust_code=trust_code, to_measure=True, device=device)
    budget = resolve_threads(threads)
    runs = [ArtifactRun(candidate.artifact, reason=candidate.rejected) for candidate in select(package, requirements)]
    load = {"package": str(path), "device": device, "threads": budget, "trust_code": trust_code}
    try:
        _Schedule(runs, load, plan, progress).run()
    finally:
        for artifact_run in runs:
            artifact_run.leave()
    shared = _shared_files(package)
    measured = [artifact_run.measurement(shared) for artifact_run in runs if artifact_run.reason is None]
    not_run = {
        artifact_run.artifact.name: artifact_run.reason for artifact_run in runs if artifact_run.reason is not None
    }
    if not measured:
        raise NoUsableBackendError(package.metadata.name, not_run, hint="'inferox doctor' says what each backend lacks")
    return Comparison(
        name=package.metadata.name,
        version=package.metadata.version,
        digest=package.digest,
        task=package.info.task,
        machine=this_machine(),
        threads=budget,
        plan=plan,
        started_at=started_at,
        duration_s=time.perf_counter() - began,
        artifacts=tuple(sorted(measured, key=lambda item: -item.throughput.rows_per_s.median)),
        not_run=not_run,
        proof=None if package.parity is None else package.parity.from_input,
    )


class _Schedule:
    """The measurements, one after the other, each by all runs in turn.

    Args:
        runs: Those that take part.
        load: What a worker is told to load with, besides the artifact's name.
        plan: How much is measured.
        progress: Is told how far it has come.
    """

    def __init__(self, runs: Sequence[ArtifactRun], load: dict[str, Any], plan: Plan, progress: Progress) -> None:
        self._runs = runs
        self._load = load
        self._plan = plan
        self._progress = progress
        self._done = 0.0
        # The starts, a look ahead, a round to warm up, the rounds, and the outputs.
        self._steps = (plan.starts + 1 + 1 + plan.rounds + 1) * len(self._running())

    def run(self) -> None:
        """Measures everything."""
        plan = self._plan
        for number in range(plan.starts):
            self._each(
                lambda artifact_run: artifact_run.start(self._load, timeout_s=plan.timeout_s), number, "starting"
            )
        self._each(lambda artifact_run: artifact_run.look_ahead(_CALIBRATION_ITEMS), 0, "looking ahead")
        slowest = max((artifact_run.calibration_s for artifact_run in self._running()), default=1.0)
        items = _items_for(plan.throughput_s, slowest / _CALIBRATION_ITEMS)
        self._round(0, items, "warming up")
        for artifact_run in self._runs:
            artifact_run.answers.clear()
        for number in range(1, plan.rounds + 1):
            self._round(number, items, f"round {number} of {plan.rounds}")
        self._each(lambda artifact_run: artifact_run.finish(), 0, "comparing outputs")

    def _round(self, number: int, items: int, text: str) -> None:
        # All artifacts are of one task, so that any of them says what there is to measure.
        measures = next((artifact_run.measures(items, self._plan.latency_s) for artifact_run in self._running()), [])
        for measure in measures:
            self._each(methodcaller("measure", measure), number, text, share=1 / len(measures))

    def _running(self) -> list[ArtifactRun]:
        return [artifact_run for artifact_run in self._runs if artifact_run.reason is None]

    def _each(self, act: Callable[[ArtifactRun], None], number: int, text: str, *, share: float = 1.0) -> None:
        """Lets all runs that still take part act in turn."""
        for artifact_run in order_turns(self._running(), number):
            self._progress(self._done, self._steps, f"{text}: {artifact_run.artifact.name}")
            try:
                act(artifact_run)
            except WorkerError as error:
                artifact_run.reason = str(error)
                artifact_run.leave()
            self._done += share


def _items_for(budget_s: float, item_s: float) -> int:
    return min(max(round(budget_s / max(item_s, 1e-9)), _FEWEST_ITEMS), _MOST_ITEMS)


def _shared_files(package: Package) -> Counter[Path]:
    """How many artifacts read each file."""
    return Counter(path for artifact in package.artifacts for path in {artifact.path(role) for role in artifact.files})
