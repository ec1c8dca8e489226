"""Statistics of a model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from threading import Lock
from typing import Any

from inferox.engine.histogram import (
    COUNT_BOUNDS,
    NO_COUNTS,
    NO_SECONDS,
    NO_SHARES,
    SECONDS_BOUNDS,
    SHARE_BOUNDS,
    Histogram,
    HistogramRecorder,
)
from inferox.engine.trials.stats import TrialStats


@dataclass(frozen=True)
class ModelStats:
    """Statistics of a model: what it is doing, and has done since it was loaded.

    Attributes:
        waiting_rows: The rows that wait for a batch.
        waiting_tokens: Their tokens.
        batches: The batches that were computed.
        rows: Their rows.
        tokens: Their tokens, padding not counted; of rows without tokens, what they count as when they are admitted.
        equal_rows: The rows that were not computed, because an equal one of their owner was at that time.
        cached_rows: The rows whose answers were kept from an equal one; see ``EngineConfig.cache_bytes``.
        failed_batches: The batches that failed as a whole, for whatever reason.
        split_batches: Those of them whose rows were then computed in smaller batches, so that some got their answers.
        non_finite_rows: The rows of finite inputs whose outputs were NaN or infinite.
        evictions: How often the model was closed because others needed its memory.
        failovers: How often an artifact was taken out, because it failed its stored samples, and another took over.
        quarantined_rows: The rows that are refused for a while because worker processes died of them.
        missing_workers: How many worker processes did not say in time what they have counted, which is missing here.
        predicted_queue_s: The seconds until what waits will be computed, as batches took so far; ``None`` where
            something waits and that is not known. Of several worker processes it is what each needs on average.
        computing_s: The seconds that computing them took, all lanes together.
        batch_rows: The rows of each batch.
        batch_tokens: The tokens of each batch.
        padding: The share of each batch's places that no token stood in.
        queue_s: For each row that was computed, the seconds from its request's coming to its batch.
        compute_s: The seconds that each batch took.
        trials: What the artifacts have done that are tried beside it; see ``Engine.load``.
    """

    waiting_rows: int = 0
    waiting_tokens: int = 0
    batches: int = 0
    rows: int = 0
    tokens: int = 0
    equal_rows: int = 0
    cached_rows: int = 0
    failed_batches: int = 0
    split_batches: int = 0
    non_finite_rows: int = 0
    evictions: int = 0
    failovers: int = 0
    quarantined_rows: int = 0
    missing_workers: int = 0
    predicted_queue_s: float | None = 0.0
    computing_s: float = 0.0
    batch_rows: Histogram = NO_COUNTS
    batch_tokens: Histogram = NO_COUNTS
    padding: Histogram = NO_SHARES
    queue_s: Histogram = NO_SECONDS
    compute_s: Histogram = NO_SECONDS
    trials: tuple[TrialStats, ...] = ()


class StatsRecorder:
    """Counts what is computed for a model. Several threads may use it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts = Counter[str]()
        self._computing_s = 0.0
        self._batch_rows, self._batch_tokens = HistogramRecorder(COUNT_BOUNDS), HistogramRecorder(COUNT_BOUNDS)
        self._padding = HistogramRecorder(SHARE_BOUNDS)
        self._queue_s, self._compute_s = HistogramRecorder(SECONDS_BOUNDS), HistogramRecorder(SECONDS_BOUNDS)

    @property
    def stats(self) -> ModelStats:
        """The counts so far."""
        with self._lock:
            counts: dict[str, Any] = dict(self._counts)
            return ModelStats(
                **counts,
                computing_s=self._computing_s,
                batch_rows=self._batch_rows.read(),
                batch_tokens=self._batch_tokens.read(),
                padding=self._padding.read(),
                queue_s=self._queue_s.read(),
                compute_s=self._compute_s.read(),
            )

    def note_wait(self, rows: int, seconds: float) -> None:
        """Counts rows that are about to be computed.

        Args:
            rows: Their number.
            seconds: How long they have waited.
        """
        with self._lock:
            self._queue_s.note(seconds, rows)

    def note_batch(self, rows: int, tokens: int, places: int, seconds: float) -> None:
        """Counts a batch that was computed.

        Args:
            rows: Its rows.
            tokens: Their tokens.
            places: The places that they were laid out in, padding included.
            seconds: How long it took.
        """
        with self._lock:
            counts = self._counts
            counts["batches"] += 1
            counts["rows"] += rows
            counts["tokens"] += tokens
            self._computing_s += seconds
            self._batch_rows.note(rows)
            self._batch_tokens.note(tokens)
            self._padding.note(1 - tokens / places)
            self._compute_s.note(seconds)

    def note_equal_row(self) -> None:
        """Counts a row that got the answer of an equal one."""
        self._add("equal_rows")

    def note_cached(self, rows: int) -> None:
        """Counts rows whose answers were kept.

        Args:
            rows: Their number.
        """
        self._add("cached_rows", rows)

    def note_failure(self) -> None:
        """Counts a batch that failed."""
        self._add("failed_batches")

    def note_split(self) -> None:
        """Counts a batch that failed, and whose rows are computed in smaller ones."""
        self._add("split_batches")

    def note_non_finite(self, rows: int) -> None:
        """Counts rows whose outputs are not finite.

        Args:
            rows: Their number.
        """
        self._add("non_finite_rows", rows)

    def _add(self, name: str, count: int = 1) -> None:
        with self._lock:
            self._counts[name] += count
