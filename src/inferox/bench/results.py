"""The results of a load benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inferox.machine.description import Machine
from inferox.measuring.time_budget import Ending

PERCENTILES = (50, 90, 99)
"""The reported percentiles of latency."""


@dataclass(frozen=True)
class LoadStep:
    """The measurements at one load.

    Attributes:
        callers: The number of concurrent callers (a closed loop); ``None`` for requests at a rate.
        offered_per_s: The average number of requests sent per second, whether those before were answered or not (an
            open loop); ``None`` for callers.
        duration_s: The time up to the last answer.
        answered: The number of requests that were answered.
        failed: The number of failed requests, by the name of the error; ``unanswered`` for those given up at the end.
        latency_s: The percentiles of latency, by their number, and ``max``. In an open loop, latency counts from when
            the request was due. Empty if nothing was answered.
        batch_rows: The average number of rows of a batch; ``None`` for a server, which does not report it.
        padding: The average share of padding in a batch; ``None`` for a server.
        client_cpu_s: The CPU time of the client per request; ``None`` if the engine is in this process.
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
        """The number of requests answered per second."""
        return self.answered / self.duration_s


@dataclass(frozen=True)
class LoadReport:
    """The report of a load benchmark.

    Attributes:
        name: The name of the package.
        task: Its task.
        artifact: The artifact that computed; ``None`` if a server does not report it.
        threads: The number of CPU threads; ``None`` for a server.
        machine: The machine of the benchmark: for a server, that of the client.
        steps: The measurements at each load.
        url: The address of the server; ``None`` for an engine in this process.
        api: The protocol of the requests; ``None`` for an engine in this process.
        rows: The items of each request.
        fault: The reason why less was measured than requested, or nothing was answered; ``None`` if all is well.
        ending: Whether all loads were measured, or the user stopped the benchmark (``KeyboardInterrupt``) before.
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
    ending: Ending = Ending.COMPLETE

    def to_json(self) -> dict[str, Any]:
        """Returns the report as JSON values."""
        steps = [{**asdict(step), "answered_per_s": step.answered_per_s} for step in self.steps]
        return {**asdict(self), "steps": steps}


def summarise_latencies(latencies_s: Sequence[float]) -> dict[str, float]:
    """Returns the percentiles of latencies, by their number, and ``max``; empty if there are no latencies.

    Args:
        latencies_s: The latencies.
    """
    if not latencies_s:
        return {}
    found = np.percentile(np.asarray(latencies_s), PERCENTILES)
    return {
        **{str(name): float(value) for name, value in zip(PERCENTILES, found, strict=True)},
        "max": max(latencies_s),
    }
