"""An artifact that takes part in a comparison, or a library beside it."""

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
    """An artifact that takes part, or a library, and what has been measured of it so far.

    Attributes:
        name: The name of the artifact or of the library.
        artifact: The artifact; ``None`` for a library.
        reason: Why it takes no part, or no longer; ``None`` if it does.
        failure: Why a later start failed, after all was measured; ``None`` if none did.
        limit_s: The most that its worker's next answers may take together, in seconds.
        worker: The process in which it is loaded.
        device: Where it runs.
        runtime_version: The version of its runtime; ``None`` if that is unknown.
        calibration: The worker's first answer about items of mixed lengths, of few items; empty before.
        facts: What its worker says that there is to measure.
        starts: Each start.
        latency: For each single row by its index, the seconds of each call, round by round.
        throughput: The worker's answers about items of mixed lengths, round by round.
        parity: The worker's answer about parity; ``None`` if it has not been asked.
        peak_memory_bytes: The most memory that its process had; ``None`` if it has not been asked.
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
        """Whether enough was measured for a comparison: mixed throughput, and the latency of a typical row."""
        return bool(self.calibration) and self.facts["typical"] in self.latency

    def start(self, load: dict[str, Any]) -> None:
        """Loads the artifact in a fresh process, in place of the one before.

        Raises:
            WorkerError: If it cannot be loaded, or takes too long.
        """
        self.leave()
        self.worker = WorkerProcess(threads=load["threads"])
        found = self._ask("load", artifact=self.name, **load)
        self.starts.append(Start(found["load_s"], self.worker.age_s))
        self.device, self.runtime_version = found["device"], found["version"]

    def look_ahead(self, items: int, latency_s: float) -> None:
        """Asks what there is to measure, and gets a first answer of few items of mixed lengths and of a typical row.

        Args:
            items: How many items.
            latency_s: For how long the typical row is repeated, in seconds.

        Raises:
            WorkerError: If the worker fails, ends, or takes too long.
        """
        self.facts = self._ask("describe")
        self.calibration = self._ask("throughput", items=items)
        self.measure_latency(self.facts["typical"], latency_s)

    def measure_latency(self, index: int, budget_s: float) -> None:
        """Computes one row again and again.

        Args:
            index: Which of the single rows.
            budget_s: For how long, in seconds.

        Raises:
            WorkerError: If the worker fails, ends, or takes too long.
        """
        seconds = self._ask("latency", index=index, budget_s=budget_s)["seconds"]
        self.latency.setdefault(index, []).append(tuple(seconds))

    def measure_throughput(self, items: int) -> None:
        """Answers items of mixed lengths once.

        Args:
            items: How many.

        Raises:
            WorkerError: If the worker fails, ends, or takes too long.
        """
        self.throughput.append(self._ask("throughput", items=items))

    def measure_memory(self) -> None:
        """Asks for the peak of memory until now.

        Raises:
            WorkerError: If the worker fails, ends, or takes too long.
        """
        self.peak_memory_bytes = self._ask("memory")["peak_memory_bytes"]

    def measure_parity(self) -> None:
        """Compares outputs with those of the reference.

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
            calibrated: Whether to take throughput from the first answer alone, because no round reached all artifacts.
        """
        artifact = self.artifact
        files = set() if artifact is None else {artifact.path(role) for role in artifact.files}
        parity = self.parity or {"evidence": None}
        measured = sorted(self.latency)
        return ArtifactMeasurement(
            artifact=self.name,
            device=self.device,
            runtime_version=self.runtime_version,
            starts=tuple(self.starts),
            latency=tuple(Latency(self.facts["lengths"][index], tuple(self.latency[index])) for index in measured),
            typical=measured.index(self.facts["typical"]),
            throughput=_throughput([self.calibration] if calibrated else self.throughput),
            peak_memory_bytes=self.peak_memory_bytes,
            size_bytes=sum(path.stat().st_size for path in files),
            shared_bytes=sum(path.stat().st_size for path in files if shared[path] > 1),
            evidence=None if parity["evidence"] is None else ArtifactEvidence.from_json(parity["evidence"]),
        )

    def lacks(self) -> list[str]:
        """Lists what was not reached of a run that has an answer, as phrases; empty if nothing is missing."""
        rows = [
            f"a row of {counted(length, 'token')}"
            for index, length in enumerate(self.facts["lengths"])
            if index not in self.latency
        ]
        memory = [] if self.peak_memory_bytes is not None else ["memory"]
        return [*memory, *(["parity"] if self.parity is None else []), *rows]

    def _ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        if self.worker is None:
            raise WorkerError("it has not been started")
        began_s = monotonic()
        try:
            return self.worker.ask(command, timeout_s=self.limit_s, **arguments)
        finally:
            self.limit_s -= monotonic() - began_s


def _throughput(answers: Sequence[dict[str, Any]]) -> Throughput:
    rows, tokens = answers[0]["rows"], answers[0]["tokens"]
    return Throughput(rows, tokens, tuple(answer["seconds"] for answer in answers))
