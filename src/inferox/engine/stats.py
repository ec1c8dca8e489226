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
    """Statistics of a model: its current state, and its totals since it was loaded.

    Attributes:
        waiting_rows: The number of rows that wait for a batch.
        waiting_tokens: The number of their tokens.
        batches: The number of batches computed.
        rows: The number of rows computed.
        tokens: The number of tokens computed, without padding; rows without tokens count as an equivalent number.
        equal_rows: The number of rows that were not computed, because an equal one of their owner was at that time.
        cached_rows: The number of rows answered from the cache; see ``EngineConfig.cache_bytes``.
        failed_batches: The number of batches that failed as a whole, for whatever reason.
        split_batches: The number of those whose rows were then computed in smaller batches, so that some got answers.
        non_finite_rows: The number of rows of finite inputs whose outputs were NaN or infinite.
        evictions: The number of times that the model was closed because others needed its memory.
        failovers: The number of times that an artifact failed its stored samples, and another took over.
        quarantined_rows: The number of rows that are refused for a while because worker processes died of them.
        missing_workers: The number of worker processes that did not report in time, and whose counts are missing here.
        predicted_queue_s: The predicted seconds until the waiting rows are computed; ``None`` if rows wait and that is
            not known. For several worker processes, the average that each needs.
        computing_s: The seconds spent computing, all lanes together.
        batch_rows: The number of rows of each batch.
        batch_tokens: The number of tokens of each batch.
        padding: The share of padding in each batch.
        queue_s: The seconds from a request's arrival to the batch of each of its rows.
        compute_s: The seconds that each batch took.
        trials: The statistics of the artifacts that are tried beside it; see ``Engine.load``.
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
    """Counts what is computed for a model. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts = Counter[str]()
        self._computing_s = 0.0
        self._batch_rows, self._batch_tokens = HistogramRecorder(COUNT_BOUNDS), HistogramRecorder(COUNT_BOUNDS)
        self._padding = HistogramRecorder(SHARE_BOUNDS)
        self._queue_s, self._compute_s = HistogramRecorder(SECONDS_BOUNDS), HistogramRecorder(SECONDS_BOUNDS)

    @property
    def stats(self) -> ModelStats:
        """Returns the counts so far."""
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
            rows: The number of rows.
            seconds: The time for which they have waited.
        """
        with self._lock:
            self._queue_s.note(seconds, rows)

    def note_batch(self, rows: int, tokens: int, places: int, seconds: float) -> None:
        """Counts a computed batch.

        Args:
            rows: The number of rows.
            tokens: The number of tokens.
            places: The number of places of its layout, including padding.
            seconds: The time that it took.
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
        """Counts rows answered from the cache.

        Args:
            rows: Their number.
        """
        self._add("cached_rows", rows)

    def note_failure(self) -> None:
        """Counts a batch that failed."""
        self._add("failed_batches")

    def note_split(self) -> None:
        """Counts a failed batch whose rows are computed in smaller ones."""
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
