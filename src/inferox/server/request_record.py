"""What is noted of a request while it is answered."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass, field

from inferox.engine import Answer, Phases
from inferox.server.trace_context import TraceContext


@dataclass(frozen=True)
class Computed:
    """What an engine computed for a request.

    Attributes:
        model: The name of the model.
        version: Its version.
        artifact: The artifact.
        rows: The rows, one for each item.
        tokens: Their tokens.
        phases: When it was done; ``None`` where that is not known.
    """

    model: str
    version: str
    artifact: str
    rows: int
    tokens: int
    phases: Phases | None


@dataclass
class RequestRecord:
    """What is noted of a request while it is answered. It has nothing of what the request says.

    Attributes:
        id: What it is called in answers and logs.
        protocol: ``http`` or ``grpc``.
        method: Its method; that of a call of gRPC.
        path: Where it was sent, without the query.
        route: The path of the route that answers it, the same for all of its requests; ``None`` where there is none.
        trace: Its place in a trace; ``None`` where it has none.
        is_traced: Whether spans are made of it.
        model: The model that it asks for; ``None`` for none.
        owner: The name of its API key; ``None`` for none.
        received_bytes: How much of its body has come.
        started_s: When it came, on the clock of ``time.perf_counter``.
        computed: What was computed for it, where it is traced.
    """

    id: str
    protocol: str
    method: str
    path: str
    route: str | None = None
    trace: TraceContext | None = None
    is_traced: bool = False
    model: str | None = None
    owner: str | None = None
    received_bytes: int = 0
    started_s: float = field(default_factory=time.perf_counter)
    computed: list[Computed] = field(default_factory=list)


current_record: ContextVar[RequestRecord | None] = ContextVar("current_record", default=None)
"""What is noted of the request that is being answered."""


def note_model(name: str) -> None:
    """Notes which model the request asks for that is being answered.

    Args:
        name: The model, which there is.
    """
    if (record := current_record.get()) is not None:
        record.model = name


def note_answer(answer: Answer, rows: int) -> None:
    """Notes what was computed for the request that is being answered, where it is traced.

    Args:
        answer: What the engine answered.
        rows: How many items it was asked.
    """
    if (record := current_record.get()) is not None and record.is_traced:
        # Not the answer itself: it may hold many vectors, and spans wait to be sent.
        record.computed.append(
            Computed(answer.model, answer.version, answer.artifact, rows, answer.tokens, answer.phases)
        )
