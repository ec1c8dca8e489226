"""Statistics of a model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelStats:
    """Statistics of a model: what it is doing, and has done since it was loaded.

    Attributes:
        waiting_rows: The rows that wait for a batch.
        waiting_tokens: Their tokens.
        batches: The batches that were computed.
        rows: Their rows.
        tokens: Their tokens, padding not counted.
        failed_batches: The batches that failed as a whole, whose rows were then computed apart.
        computing_s: The seconds that computing them took, all lanes together.
    """

    waiting_rows: int = 0
    waiting_tokens: int = 0
    batches: int = 0
    rows: int = 0
    tokens: int = 0
    failed_batches: int = 0
    computing_s: float = 0.0
