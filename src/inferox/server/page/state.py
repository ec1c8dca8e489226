"""The data of the page, as JSON."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from inferox.engine import ModelInfo, ModelStats, TrialStats

if TYPE_CHECKING:
    from inferox.loading.profile import Profile
    from inferox.package import Package

_HISTOGRAMS = ("batch_rows", "batch_tokens", "padding", "queue_s", "compute_s")
_COUNTS = ("waiting_rows", "waiting_tokens", "batches", "rows", "tokens", "failed_batches", "failovers", "computing_s")
_TRIAL_FACTS = ("requests", "errors", "compared", "decisions", "same_decisions", "cosine_min", "max_abs")


_USUAL_LENGTH = 128
"""The length in tokens at which times are shown, or the longest below it that was measured."""


class PageState(Struct, forbid_unknown_fields=True):
    """The state of the server, with its statistics so far."""

    time_s: float
    not_ready: str | None
    answers: dict[str, int]
    models: list[dict[str, Any]]


def describe_state(
    models: Sequence[tuple[ModelInfo, ModelStats]], answers: Mapping[int, int], reason: str | None
) -> PageState:
    """Returns the state of the server, with its statistics so far.

    Args:
        models: The models, each with its statistics.
        answers: The number of responses, by status.
        reason: The reason why the server is not ready; ``None`` if it is.

    Returns:
        The state; its ``time_s`` is on a monotonic clock, and counts start when the models are loaded.
    """
    return PageState(
        time.monotonic(),
        reason,
        {str(status): count for status, count in sorted(answers.items())},
        [_describe_model(info) | {"stats": _describe_stats(stats)} for info, stats in models],
    )


def describe_evidence(package: Package, profile: Profile | None) -> list[dict[str, Any]]:
    """Returns the measured agreement of a package's artifacts with the reference, and their times on this machine.

    Args:
        package: The package.
        profile: Its times here; ``None`` if they were not measured.

    Returns:
        For each measured artifact its name, parity class and figures; figures that it lacks are ``None``.
    """
    measured = () if package.parity is None else package.parity.artifacts
    return [
        {
            "artifact": item.artifact,
            "class": item.parity_class.value,
            "is_reference": item.is_reference,
            "cosine_min": item.agreement.cosine_min,
            "max_abs": item.agreement.max_abs,
            "argmax_agreement": item.agreement.argmax_agreement,
            "machine": item.machine,
            "times": [] if profile is None else _describe_times(item.artifact, profile),
        }
        for item in measured
    ]


def _describe_times(artifact: str, profile: Profile) -> list[dict[str, Any]]:
    """Returns an artifact's times for the smallest and the largest measured batch of texts of a usual length."""
    shapes = {(cell.length, cell.rows) for cells in profile.cells.values() for cell in cells}
    if not shapes:
        return []
    length = max((length for length, _ in shapes if length <= _USUAL_LENGTH), default=min(shapes)[0])
    rows = [count for each, count in shapes if each == length]
    times = [(count, profile.seconds(artifact, count, length)) for count in sorted({min(rows), max(rows)})]
    return [
        {"rows": count, "length": length, "ms": 1000 * seconds if math.isfinite(seconds) else None}
        for count, seconds in times
    ]


def _describe_model(info: ModelInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "version": info.version,
        "task": info.task,
        "artifact": info.artifact,
        "device": str(info.device),
        "standby": info.standby,
        "offered": info.offered,
        "embedding_space": info.embedding_space,
        "dimension": info.dimension,
        "max_length": info.max_length,
    }


def _describe_trial(trial: TrialStats) -> dict[str, Any]:
    info = trial.info
    return {
        "kind": info.kind,
        "artifact": info.artifact,
        "share": info.share,
        "rolled_back": info.rolled_back,
        "drift_limit": info.drift_limit,
        "drift_mean": trial.drift.mean if trial.compared else None,
        "dropped": trial.busy + trial.queue_full + trial.late,
    } | {name: getattr(trial, name) for name in _TRIAL_FACTS}


def _describe_stats(stats: ModelStats) -> dict[str, Any]:
    histograms = {name: getattr(stats, name) for name in _HISTOGRAMS}
    return (
        {name: getattr(stats, name) for name in _COUNTS}
        | {"trials": list(map(_describe_trial, stats.trials))}
        | {
            name: {"bounds": found.bounds, "counts": found.counts, "total": found.total}
            for name, found in histograms.items()
        }
    )
