"""The measurements of a comparison: the raw numbers, and their medians and spreads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from inferox.machine.description import Machine
from inferox.measuring.comparison.plan import Plan
from inferox.measuring.time_budget import Ending
from inferox.measuring.timing import Spread
from inferox.parity import ArtifactEvidence, InputProof, ParityClass


@dataclass(frozen=True)
class Start:
    """One start of an artifact in a process of its own.

    Attributes:
        load_s: The time from the opened package to the loaded model, including the runtime's import, in seconds.
        first_result_s: The time from the start of the process to the first result, in seconds.
    """

    load_s: float
    first_result_s: float


@dataclass(frozen=True)
class Latency:
    """The time that one row takes.

    Attributes:
        length: The row's length in tokens; ``None`` if rows have no length.
        rounds: The time of each call in seconds, round by round.
    """

    length: int | None
    rounds: tuple[tuple[float, ...], ...]

    @cached_property
    def seconds(self) -> Spread:
        """The spread of the rounds' medians."""
        return Spread.of([Spread.of(calls).median for calls in self.rounds])


@dataclass(frozen=True)
class Throughput:
    """The speed at which many rows of mixed lengths are computed.

    Attributes:
        rows: The number of rows per round.
        tokens: The number of tokens per round; ``None`` if rows have no length.
        rounds: The time of each round in seconds.
    """

    rows: int
    tokens: int | None
    rounds: tuple[float, ...]

    @cached_property
    def rows_per_s(self) -> Spread:
        """The spread over the rounds."""
        return Spread.of([self.rows / seconds for seconds in self.rounds])

    @cached_property
    def tokens_per_s(self) -> Spread | None:
        """The spread over the rounds; ``None`` if rows have no length."""
        return None if self.tokens is None else Spread.of([self.tokens / seconds for seconds in self.rounds])


@dataclass(frozen=True)
class ArtifactMeasurement:
    """The measurements of one artifact.

    Attributes:
        artifact: Its name.
        device: The device that it ran on.
        runtime_version: The version of its runtime; ``None`` if that is unknown.
        starts: Each start, in a process of its own.
        latency: The latency of single rows, by ascending length, for each length that was reached.
        typical: The index in ``latency`` of a row of ordinary length, which the table shows.
        throughput: The throughput of whole requests, from items to answers, in the batches that the task chooses.
        peak_memory_bytes: The peak resident memory of its process while speed was measured, including shared pages and
            the Python interpreter; ``None`` if that was not reached.
        size_bytes: The size of its files.
        shared_bytes: The part of that size which other artifacts of the package share.
        evidence: Its agreement with the reference here; ``None`` if the package has no samples, or that was not
            reached.
        packed_class: Its parity class from pack time; ``None`` if that is not known.
    """

    artifact: str
    device: str
    runtime_version: str | None
    starts: tuple[Start, ...]
    latency: tuple[Latency, ...]
    typical: int
    throughput: Throughput
    peak_memory_bytes: int | None
    size_bytes: int
    shared_bytes: int
    evidence: ArtifactEvidence | None
    packed_class: ParityClass | None = None

    @cached_property
    def load_s(self) -> Spread:
        """The spread of the loading times over the starts."""
        return Spread.of([start.load_s for start in self.starts])

    @cached_property
    def first_result_s(self) -> Spread:
        """The spread of the times to the first result over the starts."""
        return Spread.of([start.first_result_s for start in self.starts])

    @property
    def one_row(self) -> Latency:
        """The latency of a row of ordinary length."""
        return self.latency[self.typical]

    def to_json(self) -> dict[str, Any]:
        """Returns everything, including the raw numbers and the figures derived from them."""
        tokens_per_s = self.throughput.tokens_per_s
        return {
            **asdict(self),
            "evidence": None if self.evidence is None else self.evidence.to_json(),
            "packed_class": None if self.packed_class is None else self.packed_class.value,
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
        task: Its task.
        machine: The machine on which it was measured.
        threads: The number of CPU threads that each runtime could use.
        plan: The plan, as scaled to the time.
        started_at: When it began: ISO 8601, UTC.
        duration_s: The time that it took, in seconds.
        artifacts: The measurements of each artifact that could run, the fastest with mixed lengths first.
        not_run: The reason for each artifact that could not run here.
        peer: The measurements of sentence-transformers with the same model, whose ``artifact`` is its name; ``None``
            if it is not installed, was not requested, or ``no_peer`` says why not.
        no_peer: Why sentence-transformers, though installed, was not measured; ``None`` if nothing prevented it.
        price_per_hour: The price of an hour of this machine, in any currency; ``None`` if that is not known.
        proof: The extent to which the package is proven from text or image; ``None`` if that was not recorded.
        ending: Whether everything planned was measured.
        other_busy_cores: The cores that other programs kept busy when it began; ``None`` if that was not measured.
        failures: The failure of each artifact that was measured, but failed when it was measured or started again.
        unreached: For each artifact that was measured in part, what was not reached, as phrases.
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
    peer: ArtifactMeasurement | None = None
    no_peer: str | None = None
    price_per_hour: float | None = None
    proof: InputProof | None = None
    ending: Ending = Ending.COMPLETE
    other_busy_cores: float | None = None
    failures: Mapping[str, str] = field(default_factory=dict)
    unreached: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def rounds(self) -> int:
        """The fewest rounds in which the typical row and the mixed lengths of any artifact were measured."""
        return min(min(len(item.one_row.rounds), len(item.throughput.rounds)) for item in self.artifacts)

    @property
    def listed(self) -> tuple[ArtifactMeasurement, ...]:
        """The artifacts and sentence-transformers, if it was measured; the fastest with mixed lengths first."""
        beside = () if self.peer is None else (self.peer,)
        return tuple(sorted((*self.artifacts, *beside), key=lambda item: -item.throughput.rows_per_s.median))

    @property
    def starts(self) -> int:
        """The fewest starts of any artifact."""
        return min(len(item.starts) for item in self.artifacts)

    def million_rows_price(self, item: ArtifactMeasurement) -> float | None:
        """Returns the price of a million rows of mixed lengths; ``None`` if the price per hour is not known.

        Args:
            item: The measurement of the artifact that computes them.
        """
        if self.price_per_hour is None:
            return None
        return self.price_per_hour / 3600 * 1e6 / item.throughput.rows_per_s.median

    def to_json(self) -> dict[str, Any]:
        """Returns everything that was measured, including the raw rounds, as JSON values."""
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
            "peer": None if self.peer is None else self.peer.to_json(),
            "no_peer": self.no_peer,
            "price_per_hour": self.price_per_hour,
            "million_rows_price": {item.artifact: self.million_rows_price(item) for item in self.artifacts},
            "failures": dict(self.failures),
            "ending": self.ending,
            "other_busy_cores": self.other_busy_cores,
            "rounds": self.rounds,
            "unreached": {name: list(phrases) for name, phrases in self.unreached.items()},
        }
