"""The options of a bulk run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from inferox.batching import MAX_TOKENS
from inferox.core import ConfigError
from inferox.tasks import VectorForm
from inferox.tasks.truncation import check_truncation

PART_ROWS = 32_768
"""The default number of rows of a part. Parts that are not finished are computed again after an interruption."""


@dataclass(frozen=True)
class BulkOptions:
    """The options of a bulk run.

    Attributes:
        column: The column of the text, or of the document to be scored.
        pair_column: The column of the second text of each pair (classify), or of the query (rerank).
        query: The query for all rows (rerank).
        keep: The columns that are copied to the output; ``None`` for all.
        form: The form of vectors (embed).
        prompt: The name of the model's prompt to put before each text (embed).
        truncate: The handling of texts that are too long: with ``error`` their rows fail; with ``warn`` and ``cut``
            they are cut, and ``warn`` reports it.
        on_error: The handling of rows that fail: ``keep`` writes them with the reason in the column ``error``; ``fail``
            ends the run at the first.
        batch_tokens: The most tokens of a batch.
        part_rows: The number of rows of a part of the output.
        shard: The index of the shard to compute, from 0, and the number of shards: each part belongs to one.

    Raises:
        ConfigError: If a value is not one of these.
    """

    column: str = "text"
    pair_column: str | None = None
    query: str | None = None
    keep: tuple[str, ...] | None = None
    form: VectorForm = field(default_factory=VectorForm)
    prompt: str | None = None
    truncate: str = "warn"
    on_error: str = "keep"
    batch_tokens: int = MAX_TOKENS
    part_rows: int = PART_ROWS
    shard: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        check_truncation(self.truncate)
        if self.on_error not in {"keep", "fail"}:
            raise ConfigError(f"on_error must be keep or fail, but is {self.on_error!r}")
        if self.part_rows < 1 or self.batch_tokens < 1:
            raise ConfigError(
                f"part_rows and batch_tokens must be 1 or more, but are {self.part_rows} and {self.batch_tokens}"
            )
        index, count_ = self.shard
        if not 0 <= index < count_:
            raise ConfigError(f"shard must be (i, n) with 0 <= i < n, but is ({index}, {count_})")

    def to_json(self) -> dict[str, Any]:
        """Returns the options as JSON values, which determine the bytes of the output."""
        values = vars(self) | {"form": vars(self.form), "shard": list(self.shard)}
        return values | {"keep": None if self.keep is None else list(self.keep)}
