"""The entries of the queue of requests, and the parts of requests that it hands out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inferox.batching import Waiting
from inferox.engine.request import Request


@dataclass(frozen=True)
class Part:
    """Some rows of a request that are computed together.

    Attributes:
        request: The request.
        rows: The rows.
    """

    request: Request
    rows: Sequence[int]


@dataclass(eq=False, slots=True, kw_only=True)
class QueueEntry(Waiting):
    """The rows of a request that may share a batch.

    Attributes:
        request: The request.
    """

    request: Request
