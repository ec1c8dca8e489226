"""What a comparison measured: the raw numbers, and their medians and spreads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from inferox.machine.description import Machine
from inferox.measuring.comparison.plan import Plan
from inferox.measuring.timing import Spread
from inferox.parity import ArtifactEvidence, InputProof


@dataclass(frozen=True)
class Start:
    """One start of an artifact in a process of its own.

    Attributes:
        load_s: From the opened package to the loaded model, the import of the runtime included, in seconds.
        first_result_s: From the start of the process to the first result, in seconds.
    """

    load_s: float
    first_result_s: float


@dataclass(frozen=True)
class Latency:
    """How long one row takes.

    Attributes:
        length: The row's length in tokens; ``None`` where rows have none.
        rounds: The time of each call in seconds, round by round.
    """

    length: int | None
    rounds: tuple[tuple[float, ...], ...]

    @property
    def seconds(self) -> Spread:
        """The spread of the rounds' medians."""
        return Spread.of([Spread.of(calls).median for calls in self.rounds])


@dataclass(frozen=True)
class Throughput:
    """How fast many rows of mixed lengths are computed.

    Attributes:
        batch: The most tokens of a batch, or the most rows where rows have no length; ``None`` for the task's own
            choice.
        rows: How many rows a round computes.
        tokens: How many tokens they have; ``None`` where rows have no length.
        rounds: How long each round took, in seconds.
    """

    batch: int | None
    rows: int
    tokens: int | None
    rounds: tuple[float, ...]

    @property
    def rows_per_s(self) -> Spread:
        """The spread over the rounds."""
        return Spread.of([self.rows / seconds for seconds in self.rounds])

    @property
    def tokens_per_s(self) -> Spread | None:
        """The spread over the rounds; ``None`` where rows have no length."""
        return None if self.tokens is None else Spread.of([self.tokens / seconds for seconds in self.rounds])


@dataclass(frozen=True)
class RowParity:
    """How well one sample row, computed by itself, agrees with the reference.

    Attributes:
        length: Its length in tokens; ``None`` where rows have none.
        max_abs: The largest absolute difference; ``None`` where it could not be compared.
        cosine: The smallest cosine of corresponding vectors; ``None`` where it could not be compared.
    """

    length: int | None
    max_abs: float | None
    cosine: float | None


@dataclass(frozen=True)
class ArtifactMeasurement:
    """Everything that was measured of one artifact.

    Attributes:
        artifact: Its name.
        device: Where it ran.
        runtime_version: The version of its runtime; ``None`` where that is unknown.
        starts: Each start, in a process of its own.
        latency: One row at a time, by rising length.
        typical: Which of ``latency`` stands in the table: a row of ordinary length.
        throughput: Whole requests, from the items to the answers, in the batches that the task chooses.
        batches: The computation alone, with batches of different sizes.
        peak_memory_bytes: The most resident memory that its process had while speed was measured, shared pages and the
            Python interpreter included.
        size_bytes: The size of its files.
        shared_bytes: What of it other artifacts of the package read as well.
        evidence: How well it agrees with the reference here; ``None`` where the package carries no samples.
        row_parity: The same for each sample row by itself.
    """

    artifact: str
    device: str
    runtime_version: str | None
    starts: tuple[Start, ...]
    latency: tuple[Latency, ...]
    typical: int
    throughput: Throughput
    batches: tuple[Throughput, ...]
    peak_memory_bytes: int
    size_bytes: int
    shared_bytes: int
    evidence: ArtifactEvidence | None
    row_parity: tuple[RowParity, ...]

    @property
    def load_s(self) -> Spread:
        """The spread of the loading times over the starts."""
        return Spread.of([start.load_s for start in self.starts])

    @property
    def first_result_s(self) -> Spread:
        """The spread of the times to the first result over the starts."""
        return Spread.of([start.first_result_s for start in self.starts])

    @property
    def one_row(self) -> Latency:
        """The latency of a row of ordinary length."""
        return self.latency[self.typical]

    def to_json(self) -> dict[str, Any]:
        """Everything, with the raw numbers and what follows from them."""
        tokens_per_s = self.throughput.tokens_per_s
        return {
            **asdict(self),
            "evidence": None if self.evidence is None else self.evidence.to_json(),
            "summary": {
                "load_s": asdict(self.load_s),
                "first_result_s": asdict(self.first_result_s),
                "one_row_s": asdict(self.one_row.seconds),
                "rows_per_s": asdict(self.throughput.rows_per_s),
                "tokens_per_s": None if tokens_per_s is None else asdict(tokens_per_s),
            },
        }


@dataclass(frozen=True)
class Comparison:
    """Every artifact of a package, side by side on this machine.

    Attributes:
        name: The package's name.
        version: The package's version.
        digest: The SHA-256 digest of its manifest.
        task: What its numbers mean.
        machine: Where it was measured.
        threads: How many CPU threads each runtime could use.
        plan: How it was measured.
        started_at: When it began: ISO 8601, UTC.
        duration_s: How long it took, in seconds.
        artifacts: What was measured of each artifact that could be run, the quickest with mixed lengths first.
        not_run: For each artifact that could not be run here, why.
        proof: How far the package is proven from a text or image on; ``None`` where that was not recorded.
    """

    name: str
    version: str
    digest: str
    task: str
    machine: Machine
    threads: int
    plan: Plan
    started_at: str
    duration_s: float
    artifacts: tuple[ArtifactMeasurement, ...]
    not_run: Mapping[str, str]
    proof: InputProof | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything that was measured, raw rounds included, as JSON values."""
        return {
            "name": self.name,
            "version": self.version,
            "digest": self.digest,
            "task": self.task,
            "machine": asdict(self.machine),
            "threads": self.threads,
            "plan": asdict(self.plan),
            "started_at": self.started_at,
            "duration_s": self.duration_s,
            "from_input": None if self.proof is None else self.proof.to_json(),
            "artifacts": [item.to_json() for item in self.artifacts],
            "not_run": dict(self.not_run),
        }
