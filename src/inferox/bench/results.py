"""What was measured of an engine under load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inferox.machine.description import Machine

PERCENTILES = (50, 90, 99)
"""The percentiles of latency that are told."""


@dataclass(frozen=True)
class LoadStep:
    """What was measured at one load.

    Attributes:
        callers: How many callers asked at a time, each as soon as it had its answer (a closed loop); ``None`` where
            requests came at a rate.
        offered_per_s: How many requests came in a second on average, whether those before were answered or not (an open
            loop); ``None`` where callers waited.
        duration_s: How long it took, up to the last answer.
        answered: How many requests were answered.
        failed: How many were not, by the name of the error; ``unanswered`` are those that were given up at the end.
        latency_s: The percentiles of the time to an answer, by their number, and ``max``. In an open loop it counts
            from when the request was due; empty where nothing was answered.
        batch_rows: The rows of a batch, on average; ``None`` of a server, which does not say.
        padding: The share of padding in a batch, on average; ``None`` of a server.
        client_cpu_s: The CPU time that asking took for each request; ``None`` where the engine is in this process.
    """

    callers: int | None
    offered_per_s: float | None
    duration_s: float
    answered: int
    failed: Mapping[str, int]
    latency_s: Mapping[str, float]
    batch_rows: float | None = None
    padding: float | None = None
    client_cpu_s: float | None = None

    @property
    def answered_per_s(self) -> float:
        """How many requests were answered in a second."""
        return self.answered / self.duration_s


@dataclass(frozen=True)
class LoadReport:
    """What was measured of a package under load.

    Attributes:
        name: The name of the package.
        task: Its task.
        artifact: The artifact that computed; ``None`` where a server does not say.
        threads: How many CPU threads it could use; ``None`` of a server.
        machine: Where it was measured, which is where the client ran.
        steps: What was measured at each load.
        url: The address of the server; ``None`` for an engine in this process.
        api: How it was asked; ``None`` for an engine in this process.
        rows: The items of each request.
        fault: Why less was measured than asked for, or nothing was answered; ``None`` where all is well.
    """

    name: str
    task: str
    artifact: str | None
    threads: int | None
    machine: Machine
    steps: Sequence[LoadStep]
    url: str | None = None
    api: str | None = None
    rows: int = 1
    fault: str | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        steps = [{**asdict(step), "answered_per_s": step.answered_per_s} for step in self.steps]
        return {**asdict(self), "steps": steps}


def summarise_latencies(latencies_s: Sequence[float]) -> dict[str, float]:
    """The percentiles of some times, by their number, and the longest; empty where there are none.

    Args:
        latencies_s: The times.
    """
    if not latencies_s:
        return {}
    found = np.percentile(np.asarray(latencies_s), PERCENTILES)
    return {
        **{str(name): float(value) for name, value in zip(PERCENTILES, found, strict=True)},
        "max": max(latencies_s),
    }
