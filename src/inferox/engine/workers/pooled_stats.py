"""The combination of a model's statistics from several workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from inferox.engine.stats import ModelStats

_NOT_SUMS = ("predicted_queue_s", "trials")
"""The fields that are not summed. Workers run no trials: the engine that has the workers does."""


def add_up(counted: Sequence[ModelStats], *, own: ModelStats) -> ModelStats:
    """Sums the counts of a model's workers and of its pool.

    Args:
        counted: The report of each worker.
        own: The counts of the pool itself: what waits for a worker, and what is in quarantine.
    """
    names = [item.name for item in fields(ModelStats) if item.name not in _NOT_SUMS]
    # The pool's own histograms are empty; they ensure that there are histograms even if no worker is alive.
    sums = {name: sum(getattr(stats, name) for stats in (own, *counted)) for name in names}
    return ModelStats(**sums, predicted_queue_s=_predict_queue_s(counted, own.waiting_tokens))


def _predict_queue_s(counted: Sequence[ModelStats], tokens: int) -> float | None:
    """Predicts the seconds until all workers together have computed their queues, and the tokens that wait for one."""
    own = [stats.predicted_queue_s for stats in counted]
    known = [seconds for seconds in own if seconds is not None]
    if not tokens and not counted:
        return 0.0
    computed = sum(stats.tokens for stats in counted)
    if len(known) < len(own) or (tokens and not computed):
        return None
    waiting_s = tokens * sum(stats.computing_s for stats in counted) / computed if tokens else 0.0
    return (sum(known) + waiting_s) / len(counted)
