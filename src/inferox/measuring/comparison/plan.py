"""The amount of work to measure, and for how long."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

_MOST_ROUNDS = 20
_ENOUGH_ROUNDS = 3
"""The rounds from which the noise is known: if time is short, these come before more items in each."""

LEAST_LATENCY_S = 0.02
"""The least time for which a row is repeated: with less, a figure says more about the moment than the artifact."""

_SINGLE_SHARE = 0.25
"""The time of single rows in a round, as a share of that of mixed lengths, if time is short."""


@dataclass(frozen=True)
class Plan:
    """The amount of work to measure, and for how long.

    Attributes:
        starts: The number of starts of each artifact in a fresh process, if the time allows more than one.
        rounds: The number of rounds; each round measures every artifact in turn.
        latency_s: The time spent repeating the calls of one length per round, in seconds.
        throughput_s: The time that an artifact computes rows of mixed lengths per round on average, in seconds; all
            artifacts compute the same rows.
        timeout_s: The time limit of one step of an artifact, its start or one measurement, in seconds.
        repeats_lengths: Whether each round measures rows of every length; otherwise those that are not typical come
            once, after all rounds.
    """

    starts: int
    rounds: int
    latency_s: float
    throughput_s: float
    timeout_s: float
    repeats_lengths: bool = True

    def fit(self, left_s: float, *, artifacts: int, lengths: int, enough_s: float) -> Plan:
        """Scales the plan to the time that is left: more rounds if there is more time, less of everything if not.

        If time is short, rows of other lengths are measured once, at the end. Before more rows of mixed lengths in a
        round come three rounds, before these enough rows to say something, and before all of them one round.

        Args:
            left_s: The time that is left for all rounds, in seconds; infinity if there is no limit.
            artifacts: The number of artifacts that take turns.
            lengths: The number of lengths that are measured by themselves.
            enough_s: The time that an artifact needs on average for enough rows of mixed lengths, in seconds.
        """
        if not math.isfinite(left_s):
            return self
        # Each computes the rows once untimed, before the first round.
        own_s = max(left_s, 0.0) / artifacts
        rounds = (own_s - self.throughput_s) / (lengths * self.latency_s + self.throughput_s)
        if rounds >= self.rounds:
            return replace(self, rounds=max(self.rounds, min(int(rounds), _MOST_ROUNDS)))
        round_share = 1 + _SINGLE_SHARE
        in_rounds_s = own_s / (1 + round_share * min(self.rounds, _ENOUGH_ROUNDS))
        in_one_s = own_s / (1 + round_share)
        throughput_s = min(self.throughput_s, max(in_rounds_s, min(enough_s, in_one_s)))
        rounds = (own_s / throughput_s - 1) / round_share if throughput_s else 1
        return replace(
            self,
            rounds=min(self.rounds, max(1, int(rounds))),
            latency_s=min(self.latency_s, max(LEAST_LATENCY_S, _SINGLE_SHARE * throughput_s)),
            throughput_s=throughput_s,
            repeats_lengths=False,
        )


FULL = Plan(starts=3, rounds=5, latency_s=0.25, throughput_s=2.0, timeout_s=300.0)
"""The plan for reliable figures: half a minute per artifact."""
