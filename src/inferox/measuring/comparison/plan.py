"""How much is measured, and for how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """How much is measured, and for how long.

    Attributes:
        starts: How often each artifact is started in a fresh process.
        rounds: How often everything is measured, all artifacts in turn. One more round goes before, to warm up.
        latency_s: For how long the calls of one length are repeated in a round, in seconds.
        throughput_s: How long the slowest artifact computes rows of mixed lengths in a round, in seconds; all artifacts
            compute as many rows.
        timeout_s: The most that one step of an artifact may take, in seconds: its start, or one measurement.
    """

    starts: int
    rounds: int
    latency_s: float
    throughput_s: float
    timeout_s: float


FULL = Plan(starts=3, rounds=5, latency_s=0.25, throughput_s=2.0, timeout_s=300.0)
"""Enough for figures to rely on: a minute or two per artifact."""

QUICK = Plan(starts=1, rounds=3, latency_s=0.05, throughput_s=0.4, timeout_s=300.0)
"""Enough for an impression: about ten seconds per artifact."""
