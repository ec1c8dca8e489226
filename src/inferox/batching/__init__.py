"""Which rows join a batch, and how a batch is laid out."""

from inferox.batching.execution import MAX_ROWS, MAX_TOKENS, Outputs, run_batches
from inferox.batching.layout import Row, pad_rows, row_extents, split_rows
from inferox.batching.packed import can_be_packed, pack_batch, pack_rows, packed_signature, split_packed, unpack_batch
from inferox.batching.padded_view import PaddedView
from inferox.batching.policy import plan_batches

__all__ = [
    "MAX_ROWS",
    "MAX_TOKENS",
    "Outputs",
    "PaddedView",
    "Row",
    "can_be_packed",
    "pack_batch",
    "pack_rows",
    "packed_signature",
    "pad_rows",
    "plan_batches",
    "row_extents",
    "run_batches",
    "split_packed",
    "split_rows",
    "unpack_batch",
]
