"""The amount of work to measure, and for how long."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

_MOST_ROUNDS = 20
ENOUGH_ROUNDS = 3
"""The rounds from which the noise is known: if time is short, these come before more items in each."""

_ROUNDS_OF_ALL = 2
"""The rounds from which all items in each are better than three rounds of fewer items: an artifact's speed depends on
how many items there are."""

_ROUNDING = 1 + 1e-9

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
            after all rounds, once and then as often as time is left.
    """

    starts: int
    rounds: int
    latency_s: float
    throughput_s: float
    timeout_s: float
    repeats_lengths: bool = True

    def fit(self, left_s: float, *, artifacts: int, lengths: int, enough_s: float) -> Plan:
        """Scales the plan to the time that is left: more rounds if there is more time, less of everything if not.

        If time is short, rows of other lengths are measured once, at the end. One round comes first, then enough rows
        of mixed lengths to say something, then three rounds, then more rows in each, or all of them in two rounds.

        Args:
            left_s: The time that is left for all rounds and the other lengths, in seconds; infinity if there is no
                limit.
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

        def needed_s(rounds: int, throughput_s: float) -> float:
            return (1 + rounds) * throughput_s + (rounds + lengths - 1) * self._latency_s(throughput_s)

        def fitting_s(rounds: int) -> float:
            # The inverse of the above: single rows take a share of it, or their most if that is less.
            rounds = min(rounds, self.rounds)
            singles = rounds + lengths - 1
            shared_s = own_s / (1 + rounds + _SINGLE_SHARE * singles)
            return min(self.throughput_s, max(shared_s, (own_s - singles * self.latency_s) / (1 + rounds)))

        chosen_s = max(fitting_s(ENOUGH_ROUNDS), min(enough_s, fitting_s(1)))
        if fitting_s(_ROUNDS_OF_ALL) == self.throughput_s:
            chosen_s = self.throughput_s
        rounds = max(
            (count for count in range(2, self.rounds + 1) if needed_s(count, chosen_s) <= own_s * _ROUNDING), default=1
        )
        return replace(
            self,
            rounds=rounds,
            latency_s=self._latency_s(chosen_s),
            throughput_s=chosen_s,
            repeats_lengths=False,
        )

    def _latency_s(self, throughput_s: float) -> float:
        return min(self.latency_s, max(LEAST_LATENCY_S, _SINGLE_SHARE * throughput_s))


FULL = Plan(starts=3, rounds=5, latency_s=0.25, throughput_s=2.0, timeout_s=300.0)
"""The plan for reliable figures: half a minute per artifact."""
