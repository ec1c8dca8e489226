"""An entry of the queue of requests."""

from __future__ import annotations

from dataclasses import dataclass

from inferox.batching import Waiting
from inferox.engine.request import Request


@dataclass(eq=False, slots=True, kw_only=True)
class QueueEntry(Waiting):
    """The rows of a request that may share a batch.

    Attributes:
        request: The request.
    """

    request: Request
