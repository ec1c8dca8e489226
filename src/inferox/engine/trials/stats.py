"""The statistics of an artifact that is tried beside the serving one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Literal

from inferox.engine.histogram import Histogram, HistogramRecorder
from inferox.engine.trials.drift import Drift

TrialKind = Literal["shadow", "canary"]
"""The kind of a trial: only compared, or answering requests."""

DRIFT_BOUNDS = (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Bounds for distances; see ``Drift``."""

NO_DRIFT = Histogram.empty(DRIFT_BOUNDS)


@dataclass(frozen=True)
class TrialInfo:
    """The description of an artifact that is tried beside the serving one.

    Attributes:
        kind: ``shadow`` or ``canary``.
        artifact: The artifact.
        share: The share of the requests that it gets.
        embedding_space: The id of its embedding space; ``None`` if that is not known.
        drift_limit: The largest drift of a canary's answers from the serving artifact's; ``None`` for a shadow.
        error_limit: The share of its requests that may fail; ``None`` for a shadow.
        rolled_back: Why a canary gets no more requests; ``None`` as long as it does.
    """

    kind: TrialKind
    artifact: str
    share: float
    embedding_space: str | None = None
    drift_limit: float | None = None
    error_limit: float | None = None
    rolled_back: str | None = None


@dataclass(frozen=True)
class TrialStats:
    """The counts of an artifact on trial, and its distance from the serving one.

    Attributes:
        info: The description of the trial.
        requests: The number of requests that it computed: those that a canary answered, or a shadow recomputed.
        errors: The number of requests that it failed and the serving artifact answered.
        busy: The number of requests not compared because they had waited for longer than they were computed.
        queue_full: The number of requests not compared because too many waited to be compared.
        late: The number of requests not compared because the second computation was refused or took too long, or the
            serving artifact failed it.
        compared: The number of requests compared.
        compared_rows: The number of their items compared; of a large request, only the first ones are.
        decisions: The number of decisions in them; see ``Drift``.
        same_decisions: The number of decisions that were the same.
        cosine_min: The smallest cosine of two vectors; ``None`` if there were none.
        max_abs: The largest difference of two numbers; ``None`` if nothing was compared.
        drift: The drift of each compared request.
    """

    info: TrialInfo
    requests: int = 0
    errors: int = 0
    busy: int = 0
    queue_full: int = 0
    late: int = 0
    compared: int = 0
    compared_rows: int = 0
    decisions: int = 0
    same_decisions: int = 0
    cosine_min: float | None = None
    max_abs: float | None = None
    drift: Histogram = field(default=NO_DRIFT)


Count = Literal["requests", "errors", "busy", "queue_full", "late"]
"""The names of the counts that are incremented one by one."""


class TrialRecorder:
    """Counts the requests of an artifact on trial. Thread-safe.

    Args:
        info: The description of the trial.
    """

    def __init__(self, info: TrialInfo) -> None:
        self._lock = Lock()
        self._stats = TrialStats(info)
        self._drift = HistogramRecorder(DRIFT_BOUNDS)

    @property
    def info(self) -> TrialInfo:
        """The description of the trial."""
        return self._stats.info

    @property
    def stats(self) -> TrialStats:
        """Returns the counts so far."""
        with self._lock:
            return replace(self._stats, drift=self._drift.read())

    def count(self, what: Count) -> None:
        """Counts a request.

        Args:
            what: The outcome.
        """
        with self._lock:
            self._stats = replace(self._stats, **{what: getattr(self._stats, what) + 1})

    def note_drift(self, drift: Drift) -> None:
        """Counts a compared request.

        Args:
            drift: The drift of its answer.
        """
        with self._lock:
            known = self._stats
            cosines = [cosine for cosine in (known.cosine_min, drift.cosine_min) if cosine is not None]
            self._stats = replace(
                known,
                compared=known.compared + 1,
                compared_rows=known.compared_rows + drift.rows,
                decisions=known.decisions + drift.decisions,
                same_decisions=known.same_decisions + drift.same_decisions,
                cosine_min=min(cosines, default=None),
                max_abs=drift.max_abs if known.max_abs is None else max(known.max_abs, drift.max_abs),
            )
            self._drift.note(drift.distance)

    def note_rollback(self, reason: str) -> None:
        """Records that the artifact gets no more requests.

        Args:
            reason: The reason.
        """
        with self._lock:
            self._stats = replace(self._stats, info=replace(self._stats.info, rolled_back=reason))
