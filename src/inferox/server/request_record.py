"""What is noted of a request while it is answered."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass, field

from inferox.server.trace_context import TraceContext


@dataclass
class RequestRecord:
    """What is noted of a request while it is answered. It has nothing of what the request says.

    Attributes:
        id: What it is called in answers and logs.
        protocol: ``http`` or ``grpc``.
        method: Its method; that of a call of gRPC.
        path: Where it was sent, without the query.
        trace: Its place in a trace; ``None`` where its client names none.
        model: The model that it asks for; ``None`` for none.
        owner: The name of its API key; ``None`` for none.
        received_bytes: How much of its body has come.
        started_s: When it came, on the clock of ``time.perf_counter``.
    """

    id: str
    protocol: str
    method: str
    path: str
    trace: TraceContext | None = None
    model: str | None = None
    owner: str | None = None
    received_bytes: int = 0
    started_s: float = field(default_factory=time.perf_counter)


current_record: ContextVar[RequestRecord | None] = ContextVar("current_record", default=None)
"""What is noted of the request that is being answered."""


def note_model(name: str) -> None:
    """Notes which model the request asks for that is being answered.

    Args:
        name: The model, which there is.
    """
    if (record := current_record.get()) is not None:
        record.model = name
