"""Which rows join a batch, and the loop that computes them."""

from inferox.batching.execution import MAX_ROWS, MAX_TOKENS, group_alike, run_batches
from inferox.batching.policy import plan_batches

__all__ = ["MAX_ROWS", "MAX_TOKENS", "group_alike", "plan_batches", "run_batches"]
