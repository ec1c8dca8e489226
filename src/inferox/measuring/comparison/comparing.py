"""The comparison of a package's artifacts: each in a process of its own, in turn, round by round."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from inferox.core import DeadlineExceededError, NoUsableBackendError
from inferox.loading.selection import AUTO, Requirements, select
from inferox.machine import resolve_threads
from inferox.machine.description import busy_cores, this_machine
from inferox.measuring.comparison.artifact_run import ArtifactRun
from inferox.measuring.comparison.measurements import Comparison
from inferox.measuring.comparison.peer_bench import PEER, has_peer
from inferox.measuring.comparison.plan import FULL, Plan
from inferox.measuring.comparison.schedule import Progress, Schedule, order_starts
from inferox.measuring.time_budget import Ending, TimeBudget
from inferox.package import Package, open_package


def compare(
    path: str | Path,
    backend: str = AUTO,
    device: str | None = None,
    *,
    threads: int | None = None,
    trust_code: bool = False,
    seconds: float | TimeBudget | None = None,
    plan: Plan = FULL,
    progress: Progress = lambda _what, _used_s, _total_s: None,
) -> Comparison:
    """Measures every artifact of a package that can run here.

    Each is loaded in a process of its own. Only one of them computes at any time, and every measurement is taken of all
    of them before the next begins, so that other load on the machine affects all of them alike. If
    sentence-transformers is installed and no backend is chosen, it takes part as well with the model of a package for
    the task ``embed``.

    Args:
        path: A package: a folder, or an ``.mlpkg`` file.
        backend: The only backend to measure, or ``auto`` for all.
        device: The device to run on, such as ``cuda:0``; ``None`` for each backend's default device.
        threads: The number of CPU threads that each runtime may use; ``None`` for one per core that this process may
            use.
        trust_code: Whether code that comes with the package may run.
        seconds: The time limit for everything, starts included; ``None`` for as long as the plan takes. A
            ``TimeBudget`` may have begun before.
        plan: The amount of measurement if there is time for it; repetitions are scaled to the time.
        progress: Called with the progress; see ``Progress``.

    Raises:
        PackageError: If there is no package, or it is damaged or unsafe.
        BackendNotFoundError: If the requested backend is not registered.
        NoUsableBackendError: If no artifact can run here; it lists the reason for each.
        DeadlineExceededError: If the time is over before anything was measured.
        ConfigError: If the device or the time is not valid.
    """
    time_budget = TimeBudget.of(seconds)
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    package = open_package(path)
    requirements = Requirements.parse(backend, trust_code=trust_code, to_measure=True, device=device)
    budget = resolve_threads(threads)
    candidates = select(package, requirements)
    runs = [ArtifactRun(item.artifact.name, item.artifact, reason=item.rejected) for item in candidates]
    peer = ArtifactRun(PEER, None, reason=None) if backend == AUTO and has_peer(package.info.task) else None
    load = {"package": str(path), "device": device, "threads": budget, "trust_code": trust_code}
    taking_part = order_starts(runs, peer)
    schedule = Schedule(taking_part, load, plan, time_budget, progress)
    other_busy_cores = busy_cores()
    try:
        ending = schedule.run()
    finally:
        for artifact_run in taking_part:
            artifact_run.leave()
    unreached = "it was stopped before this was measured"
    if ending is not Ending.INTERRUPTED:
        unreached = "the time was over before it was measured; allow more seconds"
    shared = _shared_files(package)
    answered = [item for item in runs if item.reason is None and item.has_answer]
    not_run = {item.name: item.reason or unreached for item in runs if item not in answered} | dict(package.unknown)
    if not answered:
        if any(item.reason is None for item in runs) or schedule.unreached:
            raise DeadlineExceededError(
                f"no artifact of {package.metadata.name!r} was started and measured within {time_budget.total_s:g} s",
                hint="allow more time with --seconds, or measure one runtime alone with --backend",
            )
        raise NoUsableBackendError(package.metadata.name, not_run, hint="'inferox doctor' says what each backend lacks")
    calibrated = not all(item.throughput for item in answered)
    has_peer_answer = peer is not None and peer.reason is None and peer.has_answer
    beside = [peer] if peer is not None and has_peer_answer and (calibrated or peer.throughput) else []
    evidence = () if package.parity is None else package.parity.artifacts
    packed = {item.artifact: item.parity_class for item in evidence}
    measured = [
        replace(item.measurement(shared, calibrated=calibrated), packed_class=packed.get(item.name))
        for item in answered
    ]
    lacks = {item.name: tuple(item.lacks()) for item in answered}
    return Comparison(
        name=package.metadata.name,
        version=package.metadata.version,
        digest=package.digest,
        task=package.info.task,
        machine=this_machine(),
        threads=budget,
        plan=schedule.plan,
        started_at=started_at,
        duration_s=time_budget.used_s,
        artifacts=tuple(sorted(measured, key=lambda item: -item.throughput.rows_per_s.median)),
        not_run=not_run,
        peer=next((item.measurement(shared, calibrated=calibrated) for item in beside), None),
        no_peer=None if peer is None or beside else peer.reason or unreached,
        proof=None if package.parity is None else package.parity.from_input,
        ending=ending,
        other_busy_cores=other_busy_cores,
        failures={item.name: item.failure for item in answered if item.failure is not None},
        unreached={name: phrases for name, phrases in lacks.items() if phrases},
    )


def _shared_files(package: Package) -> Counter[Path]:
    """Counts the artifacts that read each file."""
    return Counter(path for artifact in package.artifacts for path in {artifact.path(role) for role in artifact.files})
