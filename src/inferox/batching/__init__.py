"""Which rows join a batch, and how a batch is laid out."""

from inferox.batching.execution import MAX_ROWS, MAX_TOKENS, Outputs, run_batches, run_rows
from inferox.batching.layout import Row, pad_rows, row_extents, split_rows
from inferox.batching.policy import plan_batches

__all__ = [
    "MAX_ROWS",
    "MAX_TOKENS",
    "Outputs",
    "Row",
    "pad_rows",
    "plan_batches",
    "row_extents",
    "run_batches",
    "run_rows",
    "split_rows",
]
