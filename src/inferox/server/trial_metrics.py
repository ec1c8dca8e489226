"""Metrics of shadows and canaries, in Prometheus' format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from inferox.engine import Histogram, ModelStats, TrialStats

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_LABELS = ("model", "trial", "artifact")

_COUNTERS = {
    "requests": "Requests that a shadow recomputed, or a canary answered.",
    "errors": "Requests that it failed to compute.",
    "compared": "Requests whose two answers were compared.",
    "compared_rows": "Rows of those that were compared.",
    "decisions": "Decisions that were compared, such as the best label of a row.",
    "same_decisions": "Decisions that were the same.",
}

_DROPS = ("busy", "queue_full", "late")
"""The reasons why requests were not compared, by their names in the statistics."""

_GAUGES = {
    "cosine_min": "Smallest cosine of two vectors that were compared.",
    "max_abs": "Largest difference of two numbers that were compared.",
}


_Trials = Sequence[tuple[tuple[str, str, str], TrialStats]]
"""The trials, with the values of their labels."""


def collect_trials(stats: Mapping[str, ModelStats]) -> Iterator[Metric]:
    """Yields the metrics of all shadows and canaries; none without any.

    Args:
        stats: The statistics of each model.
    """
    trials = [
        ((model, trial.info.kind, trial.info.artifact), trial) for model, some in stats.items() for trial in some.trials
    ]
    if trials:
        yield from _collect_counts(trials)
        yield from _collect_states(trials)


def _collect_counts(trials: _Trials) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily

    for name, meaning in _COUNTERS.items():
        counter = CounterMetricFamily(f"inferox_trial_{name}", meaning, labels=_LABELS)
        for labels, trial in trials:
            counter.add_metric(labels, getattr(trial, name))
        yield counter
    dropped = CounterMetricFamily(
        "inferox_trial_dropped", "Requests that were not compared.", labels=(*_LABELS, "reason")
    )
    for labels, trial in trials:
        for reason in _DROPS:
            dropped.add_metric((*labels, reason), getattr(trial, reason))
    yield dropped
    drift = HistogramMetricFamily("inferox_trial_drift", "Distance of an answer from the other one.", labels=_LABELS)
    for labels, trial in trials:
        drift.add_metric(labels, accumulate(trial.drift), trial.drift.total)
    yield drift


def _collect_states(trials: _Trials) -> Iterator[Metric]:
    from prometheus_client.metrics_core import GaugeMetricFamily

    share = GaugeMetricFamily("inferox_trial_share_ratio", "Share of the requests that it gets.", labels=_LABELS)
    ended = GaugeMetricFamily("inferox_trial_rolled_back", "Whether it was rolled back.", labels=_LABELS)
    for labels, trial in trials:
        is_over = trial.info.rolled_back is not None
        share.add_metric(labels, 0.0 if is_over else trial.info.share)
        ended.add_metric(labels, float(is_over))
    yield share
    yield ended
    for name, meaning in _GAUGES.items():
        gauge = GaugeMetricFamily(f"inferox_trial_{name}", meaning, labels=_LABELS)
        for labels, trial in trials:
            if getattr(trial, name) is not None:
                gauge.add_metric(labels, getattr(trial, name))
        yield gauge


def accumulate(histogram: Histogram) -> list[tuple[str, float]]:
    """Returns the buckets of a histogram in Prometheus' form: each counts all values up to its bound.

    Args:
        histogram: The histogram.
    """
    buckets, seen = [], 0
    for bound, count in zip((*histogram.bounds, None), histogram.counts, strict=True):
        seen += count
        buckets.append(("+Inf" if bound is None else repr(bound), float(seen)))
    return buckets
