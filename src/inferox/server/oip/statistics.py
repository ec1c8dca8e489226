"""Inference statistics in the form that Triton's clients and load generators read."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from inferox.engine import ModelInfo, ModelStats

_NS = 1_000_000_000


@dataclass
class InferCounts:
    """The requests of this protocol for a model, since the server started.

    Attributes:
        succeeded: The number of requests that were answered.
        succeeded_ns: Their total duration.
        failed: The number of requests that failed.
        failed_ns: Their total duration.
        last_ms: The time of the last answer, in milliseconds since 1970; 0 if there was none.
    """

    succeeded: int = 0
    succeeded_ns: int = 0
    failed: int = 0
    failed_ns: int = 0
    last_ms: int = 0

    def note(self, duration_ns: int, *, is_answered: bool) -> None:
        """Counts a request. One whose client has disconnected is not counted.

        Args:
            duration_ns: Its duration.
            is_answered: Whether it was answered.
        """
        if is_answered:
            self.succeeded += 1
            self.succeeded_ns += duration_ns
            self.last_ms = int(time.time() * 1000)
        else:
            self.failed += 1
            self.failed_ns += duration_ns


def describe_statistics(info: ModelInfo, counts: InferCounts, stats: ModelStats) -> dict[str, Any]:
    """Returns the statistics of a model, in Triton's form.

    Args:
        info: The model.
        counts: The requests of this protocol for it.
        stats: The statistics of its engine, over all protocols.
    """
    return {
        "name": info.name,
        "version": info.version,
        "last_inference": counts.last_ms,
        "inference_count": stats.rows + stats.equal_rows + stats.cached_rows,
        "execution_count": stats.batches,
        "inference_stats": {
            "success": {"count": counts.succeeded, "ns": counts.succeeded_ns},
            "fail": {"count": counts.failed, "ns": counts.failed_ns},
            "queue": {"count": stats.queue_s.count, "ns": int(stats.queue_s.total * _NS)},
            "compute_input": {"count": 0, "ns": 0},
            "compute_infer": {"count": stats.batches, "ns": int(stats.computing_s * _NS)},
            "compute_output": {"count": 0, "ns": 0},
            "cache_hit": {"count": stats.cached_rows, "ns": 0},
            "cache_miss": {"count": 0, "ns": 0},
        },
    }
