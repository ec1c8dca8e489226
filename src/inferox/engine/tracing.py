"""The tracing of an engine's batches."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from inferox.core import Trace
from inferox.engine.request import Row, group_by_request


@contextmanager
def tracing_batch(trace: Trace, model: str, rows: Sequence[Row]) -> Iterator[None]:
    """Records the batch that the block computes: the waiting of its rows, and their computation.

    Args:
        trace: The trace.
        model: The name of the model in the engine.
        rows: The rows, grouped by request.
    """
    began_s = time.monotonic()
    requests = group_by_request(rows)
    for encoding in {request.encoding for request in requests}:
        trace.note_once(encoding, "tokenise", encoding.made, rows=len(encoding.lengths))
    for request, some in requests.items():
        trace.note_wait("queue", request.encoding.made.ended_s, began_s, rows=len(some), owner=request.options.owner)
    tokens = sum(request.lengths[row] for request, row in rows)
    with trace.active(), trace.noting("batch", model=model, rows=len(rows), tokens=tokens):
        yield
