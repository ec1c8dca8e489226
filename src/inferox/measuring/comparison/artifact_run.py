"""An artifact that takes part in a comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inferox.backends.registry import probe_backend
from inferox.core import Artifact
from inferox.measuring.comparison.measurements import ArtifactMeasurement, Latency, RowParity, Start, Throughput
from inferox.measuring.comparison.worker_process import WorkerError, WorkerProcess
from inferox.parity import ArtifactEvidence


@dataclass(frozen=True)
class Measure:
    """One measurement: what a worker is asked.

    Attributes:
        command: The command.
        arguments: Its arguments by name.
    """

    command: str
    arguments: tuple[tuple[str, float], ...]


@dataclass
class ArtifactRun:
    """An artifact that takes part, and what has been measured of it so far.

    Attributes:
        artifact: The artifact.
        reason: Why it takes no part, or no longer; ``None`` where it does.
        worker: The process in which it is loaded.
        device: Where it runs.
        calibration_s: How long some items of mixed lengths took, in seconds.
        facts: What its worker says that there is to measure.
        starts: Each start.
        answers: The worker's answers to each measurement, round by round.
        parity: The worker's answer about parity.
        peak_memory_bytes: The most memory that its process had.
    """

    artifact: Artifact
    reason: str | None
    worker: WorkerProcess | None = None
    device: str = ""
    calibration_s: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    starts: list[Start] = field(default_factory=list)
    answers: dict[Measure, list[dict[str, Any]]] = field(default_factory=dict)
    parity: dict[str, Any] = field(default_factory=dict)
    peak_memory_bytes: int = 0

    def start(self, load: dict[str, Any], *, timeout_s: float) -> None:
        """Loads the artifact in a fresh process, in place of the one before.

        Raises:
            WorkerError: If it cannot be loaded, or takes too long.
        """
        self.leave()
        self.worker = WorkerProcess(threads=load["threads"], timeout_s=timeout_s)
        found = self.worker.ask("load", artifact=self.artifact.name, **load)
        self.starts.append(Start(found["load_s"], self.worker.age_s))
        self.device = found["device"]

    def look_ahead(self, items: int) -> None:
        """Asks what there is to measure, and measures how long some items of mixed lengths take, in seconds.

        Args:
            items: How many.

        Raises:
            WorkerError: If the worker fails, ends, or takes too long.
        """
        self.facts = self._ask("describe")
        self._ask("throughput", items=items)
        self.calibration_s = self._ask("throughput", items=items)["seconds"]

    def measures(self, items: int, latency_s: float) -> list[Measure]:
        """What a round measures.

        Args:
            items: How many items of mixed lengths are computed.
            latency_s: For how long the calls of one length are repeated, in seconds.
        """
        return [
            *(
                Measure("latency", (("index", index), ("budget_s", latency_s)))
                for index in range(len(self.facts["lengths"]))
            ),
            Measure("throughput", (("items", items),)),
            *(Measure("batch", (("items", items), ("size", size))) for size in self.facts["batches"]),
        ]

    def measure(self, measure: Measure) -> None:
        """Measures once.

        Raises:
            WorkerError: If the worker fails, ends, or takes too long.
        """
        self.answers.setdefault(measure, []).append(self._ask(measure.command, **dict(measure.arguments)))

    def finish(self) -> None:
        """Asks for the peak of memory and for parity, and ends the process.

        Raises:
            WorkerError: If the worker fails, ends, or takes too long.
        """
        self.peak_memory_bytes = self._ask("memory")["peak_memory_bytes"]
        self.parity = self._ask("parity")
        self.leave()

    def leave(self) -> None:
        """Ends the process, if there is one."""
        if self.worker is not None:
            self.worker.end()
            self.worker = None

    def measurement(self, shared: Counter[Path]) -> ArtifactMeasurement:
        """What was measured.

        Args:
            shared: How many artifacts read each file.
        """
        files = {self.artifact.path(role) for role in self.artifact.files}
        latency, (throughput,), batches = (
            [answers for measure, answers in self.answers.items() if measure.command == command]
            for command in ("latency", "throughput", "batch")
        )
        evidence = self.parity["evidence"]
        return ArtifactMeasurement(
            artifact=self.artifact.name,
            device=self.device,
            runtime_version=probe_backend(self.artifact.backend).version,
            starts=tuple(self.starts),
            latency=tuple(
                Latency(length, tuple(tuple(answer["seconds"]) for answer in answers))
                for length, answers in zip(self.facts["lengths"], latency, strict=True)
            ),
            typical=self.facts["typical"],
            throughput=_throughput(None, throughput),
            batches=tuple(
                _throughput(size, answers) for size, answers in zip(self.facts["batches"], batches, strict=True)
            ),
            peak_memory_bytes=self.peak_memory_bytes,
            size_bytes=sum(path.stat().st_size for path in files),
            shared_bytes=sum(path.stat().st_size for path in files if shared[path] > 1),
            evidence=None if evidence is None else ArtifactEvidence.from_json(evidence),
            row_parity=tuple(RowParity(**row) for row in self.parity["rows"]),
        )

    def _ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        if self.worker is None:
            raise WorkerError("it has not been started")
        return self.worker.ask(command, **arguments)


def _throughput(batch: int | None, answers: Sequence[dict[str, Any]]) -> Throughput:
    rows, tokens = answers[0]["rows"], answers[0]["tokens"]
    return Throughput(batch, rows, tokens, tuple(answer["seconds"] for answer in answers))
