"""The amount of work to measure, and for how long."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

_MOST_ROUNDS = 20
LEAST_LATENCY_S = 0.02
"""The least time for which a row is repeated: with less, a figure says more about the moment than the artifact."""

_LEAST_THROUGHPUT_S = 0.1


@dataclass(frozen=True)
class Plan:
    """The amount of work to measure, and for how long.

    Attributes:
        starts: The number of starts of each artifact in a fresh process, if the time allows more than one.
        rounds: The number of rounds; each round measures every artifact in turn.
        latency_s: The time spent repeating the calls of one length per round, in seconds.
        throughput_s: The time that the slowest artifact computes rows of mixed lengths per round, in seconds; all
            artifacts compute the same number of rows.
        timeout_s: The time limit of one step of an artifact, its start or one measurement, in seconds.
    """

    starts: int
    rounds: int
    latency_s: float
    throughput_s: float
    timeout_s: float

    def fit(self, left_s: float, *, artifacts: int, lengths: int) -> Plan:
        """Scales the plan to the time that is left: shorter repetitions or, if there is more time, more rounds.

        Args:
            left_s: The time that is left for all rounds, in seconds; infinity if there is no limit.
            artifacts: The number of artifacts that take turns.
            lengths: The number of lengths that are measured by themselves.
        """
        if not math.isfinite(left_s):
            return self
        round_s = artifacts * (lengths * self.latency_s + self.throughput_s)
        rounds = max(left_s, 0.0) / round_s
        if rounds >= self.rounds:
            return replace(self, rounds=max(self.rounds, min(int(rounds), _MOST_ROUNDS)))
        share = rounds / self.rounds
        return replace(
            self,
            latency_s=min(self.latency_s, max(share * self.latency_s, LEAST_LATENCY_S)),
            throughput_s=min(self.throughput_s, max(share * self.throughput_s, _LEAST_THROUGHPUT_S)),
        )


FULL = Plan(starts=3, rounds=5, latency_s=0.25, throughput_s=2.0, timeout_s=300.0)
"""The plan for reliable figures: half a minute per artifact."""
