"""The policy that decides which rows join a batch, and the loop that computes them."""

from inferox.batching.execution import MAX_ROWS, MAX_TOKENS, group_alike, read_budget, run_batches
from inferox.batching.policy import (
    FIXED_COST,
    PACKED_COST,
    PADDED_COST,
    BatchBudget,
    BatchCost,
    choose_batch,
    plan_batches,
)
from inferox.batching.waiting import Owner, Waiting, WaitingTable

__all__ = [
    "FIXED_COST",
    "MAX_ROWS",
    "MAX_TOKENS",
    "PACKED_COST",
    "PADDED_COST",
    "BatchBudget",
    "BatchCost",
    "Owner",
    "Waiting",
    "WaitingTable",
    "choose_batch",
    "group_alike",
    "plan_batches",
    "read_budget",
    "run_batches",
]
