"""The run of an artifact in a comparison, or of a library beside it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from inferox.core import Artifact, counted
from inferox.measuring.comparison.measurements import ArtifactMeasurement, Latency, Start, Throughput
from inferox.measuring.comparison.worker_process import WorkerError, WorkerProcess
from inferox.parity import ArtifactEvidence


@dataclass
class ArtifactRun:
    """An artifact, or a library, that takes part in a comparison, and its measurements so far.

    Attributes:
        name: The name of the artifact or of the library.
        artifact: The artifact; ``None`` for a library.
        reason: Why it does not take part, or no longer does; ``None`` if it does.
        failure: Why a repetition or a later start failed, after everything was measured; ``None`` if none did.
        limit_s: The most time that its worker's next answers may take together, in seconds.
        worker: The process in which it is loaded.
        device: The device that it runs on.
        runtime_version: The version of its runtime; ``None`` if that is unknown.
        calibration: The worker's first measurement of a few items of mixed lengths; empty before that.
        facts: The worker's description of what there is to measure.
        starts: Each start.
        latency: For each single row by its index, the seconds of each call, round by round.
        throughput: The worker's measurements of items of mixed lengths, round by round.
        parity: The worker's measurement of parity; ``None`` if there is none yet.
        peak_memory_bytes: The peak memory of its process; ``None`` if it was not measured yet.
    """

    name: str
    artifact: Artifact | None
    reason: str | None
    failure: str | None = None
    limit_s: float = math.inf
    worker: WorkerProcess | None = None
    device: str = ""
    runtime_version: str | None = None
    calibration: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    starts: list[Start] = field(default_factory=list)
    latency: dict[int, list[tuple[float, ...]]] = field(default_factory=dict)
    throughput: list[dict[str, Any]] = field(default_factory=list)
    parity: dict[str, Any] | None = None
    peak_memory_bytes: int | None = None

    @property
    def has_answer(self) -> bool:
        """True if enough was measured for a comparison: mixed throughput, and the latency of a typical row."""
        return bool(self.calibration) and self.facts["typical"] in self.latency

    def start(self, load: dict[str, Any]) -> None:
        """Loads the artifact in a fresh process, which replaces the previous one.

        Raises:
            WorkerError: If it cannot be loaded, or takes too long.
        """
        self.leave()
        self.worker = WorkerProcess(threads=load["threads"])
        found = self._ask("load", artifact=self.name, **load)
        self.starts.append(Start(found["load_s"], self.worker.age_s))
        self.device, self.runtime_version = found["device"], found["version"]

    def look_ahead(self, items: int, latency_s: float) -> None:
        """Finds out what there is to measure, and takes first measurements of a few mixed items and of a typical row.

        Args:
            items: The number of mixed items.
            latency_s: The time for which the typical row is repeated, in seconds.

        Raises:
            WorkerError: If the worker fails, ends, or takes too long.
        """
        self.facts = self._ask("describe")
        self.calibration = self._ask("throughput", items=items)
        self.measure_latency(self.facts["typical"], latency_s)

    def measure_latency(self, index: int, budget_s: float) -> None:
        """Measures the latency of one row by repeated calls.

        Args:
            index: The index among the single rows.
            budget_s: The time to spend, in seconds.

        Raises:
            WorkerError: If the worker fails, ends, or takes too long.
        """
        seconds = self._ask("latency", index=index, budget_s=budget_s)["seconds"]
        self.latency.setdefault(index, []).append(tuple(seconds))

    def measure_throughput(self, items: int) -> None:
        """Measures one computation of items of mixed lengths.

        Args:
            items: The number of items.

        Raises:
            WorkerError: If the worker fails, ends, or takes too long.
        """
        self.throughput.append(self._ask("throughput", items=items))

    def measure_memory(self) -> None:
        """Measures the peak memory so far.

        Raises:
            WorkerError: If the worker fails, ends, or takes too long.
        """
        self.peak_memory_bytes = self._ask("memory")["peak_memory_bytes"]

    def measure_parity(self) -> None:
        """Measures the agreement of its outputs with the reference.

        Raises:
            WorkerError: If the worker fails, ends, or takes too long.
        """
        self.parity = self._ask("parity")

    def leave(self) -> None:
        """Ends the process, if there is one."""
        if self.worker is not None:
            self.worker.end()
            self.worker = None

    def measurement(self, shared: Counter[Path], *, calibrated: bool) -> ArtifactMeasurement:
        """Returns what was measured. The run must have an answer.

        Args:
            shared: The number of artifacts that read each file.
            calibrated: Whether to take throughput from the first answer alone, because no round reached all artifacts;
                otherwise the latency of the first answer does not count either.
        """
        artifact = self.artifact
        files = set() if artifact is None else {artifact.path(role) for role in artifact.files}
        parity = self.parity or {"evidence": None}
        measured, typical = sorted(self.latency), self.facts["typical"]
        rounds = dict(self.latency)
        if not calibrated:
            # The first answer is of no round, but may be all that there is.
            rounds[typical] = rounds[typical][1:] or rounds[typical]
        return ArtifactMeasurement(
            artifact=self.name,
            device=self.device,
            runtime_version=self.runtime_version,
            starts=tuple(self.starts),
            latency=tuple(Latency(self.facts["lengths"][index], tuple(rounds[index])) for index in measured),
            typical=measured.index(typical),
            throughput=_throughput([self.calibration] if calibrated else self.throughput),
            peak_memory_bytes=self.peak_memory_bytes,
            size_bytes=sum(path.stat().st_size for path in files),
            shared_bytes=sum(path.stat().st_size for path in files if shared[path] > 1),
            evidence=None if parity["evidence"] is None else ArtifactEvidence.from_json(parity["evidence"]),
        )

    def lacks(self) -> list[str]:
        """Lists what was not reached of a run that has an answer, as phrases; empty if nothing is missing."""
        lengths = [length for index, length in enumerate(self.facts["lengths"]) if index not in self.latency]
        memory = [] if self.peak_memory_bytes is not None else ["memory"]
        return [*memory, *(["parity"] if self.parity is None else []), *_name_rows(lengths)]

    def _ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        if self.worker is None:
            raise WorkerError("it has not been started")
        began_s = monotonic()
        try:
            return self.worker.ask(command, timeout_s=self.limit_s, **arguments)
        finally:
            self.limit_s -= monotonic() - began_s


def _name_rows(lengths: Sequence[int]) -> list[str]:
    if not lengths:
        return []
    *others, last = lengths
    rows = f"rows of {', '.join(map(str, others))} and" if others else "a row of"
    return [f"{rows} {counted(last, 'token')}"]


def _throughput(answers: Sequence[dict[str, Any]]) -> Throughput:
    rows, tokens = answers[0]["rows"], answers[0]["tokens"]
    return Throughput(rows, tokens, tuple(answer["seconds"] for answer in answers))
