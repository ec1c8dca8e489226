"""The statistics of a model from several workers, together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from inferox.engine.stats import ModelStats

_NOT_SUMS = ("predicted_queue_s", "trials")
"""The fields that are not added up. Nothing is tried within a worker: the engine that has the workers does that."""


def add_up(counted: Sequence[ModelStats], *, own: ModelStats) -> ModelStats:
    """The counts of all workers of a model, and of its pool.

    Args:
        counted: What each worker says.
        own: What the pool itself counts: what waits for a worker, and was taken into quarantine.
    """
    names = [item.name for item in fields(ModelStats) if item.name not in _NOT_SUMS]
    # The pool's own histograms are empty, so that there are histograms also where no worker is alive.
    sums = {name: sum(getattr(stats, name) for stats in (own, *counted)) for name in names}
    return ModelStats(**sums, predicted_queue_s=_predict_queue_s(counted, own.waiting_tokens))


def _predict_queue_s(counted: Sequence[ModelStats], tokens: int) -> float | None:
    """The seconds until all workers together have computed what waits in them, and some tokens that wait for one."""
    own = [stats.predicted_queue_s for stats in counted]
    known = [seconds for seconds in own if seconds is not None]
    if not tokens and not counted:
        return 0.0
    computed = sum(stats.tokens for stats in counted)
    if len(known) < len(own) or (tokens and not computed):
        return None
    waiting_s = tokens * sum(stats.computing_s for stats in counted) / computed if tokens else 0.0
    return (sum(known) + waiting_s) / len(counted)
