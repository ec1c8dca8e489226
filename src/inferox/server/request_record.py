"""The record of a request while it is answered."""

from __future__ import annotations

import os
import re
import time
from contextvars import ContextVar
from dataclasses import dataclass, field

from inferox.engine import Answer, Phases
from inferox.server.trace_context import TraceContext

_SAFE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
_ID_BYTES = 12


@dataclass(frozen=True)
class Computed:
    """A computation of the engine for a request.

    Attributes:
        model: The name of the model.
        version: Its version.
        artifact: The artifact.
        rows: The number of rows, one per item.
        tokens: The number of their tokens.
        phases: The times of its phases; ``None`` if unknown.
    """

    model: str
    version: str
    artifact: str
    rows: int
    tokens: int
    phases: Phases | None


@dataclass
class RequestRecord:
    """The record of a request while it is answered. It holds none of the request's content.

    Attributes:
        id: The id in responses and logs.
        protocol: ``http`` or ``grpc``.
        method: The HTTP or gRPC method.
        path: The path, without the query.
        route: The path of the route that answers it, the same for all of its requests; ``None`` if there is none.
        trace: Its place in a trace; ``None`` if it has none.
        is_traced: Whether spans are made of it.
        model: The requested model; ``None`` for none.
        owner: The name of its API key; ``None`` for none.
        received_bytes: The number of bytes of its body received so far.
        started_s: The time it arrived, on the clock of ``time.perf_counter``.
        computed: The computations for it, if it is traced.
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
"""The record of the request being answered."""


def choose_request_id(given: str = "") -> str:
    """Returns the id of a request: the client's own, if that is harmless in headers and logs, or else a new one.

    Args:
        given: The client's own; empty for none.
    """
    return given if _SAFE_ID.fullmatch(given) else f"req_{os.urandom(_ID_BYTES).hex()}"


def note_model(name: str) -> None:
    """Records the model of the request being answered.

    Args:
        name: The model, which exists.
    """
    if (record := current_record.get()) is not None:
        record.model = name


def note_answer(answer: Answer, rows: int) -> None:
    """Records a computation for the request being answered, if it is traced.

    Args:
        answer: The answer of the engine.
        rows: The number of items that it computed.
    """
    if (record := current_record.get()) is not None and record.is_traced:
        # Not the answer itself: it may hold many vectors, and spans wait to be sent.
        record.computed.append(
            Computed(answer.model, answer.version, answer.artifact, rows, answer.tokens, answer.phases)
        )
