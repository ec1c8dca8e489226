"""A protocol as the application knows it: where its routes are, and how it says that something is wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from inferox.server.failure import Failure
from inferox.server.http_request import HttpRequest
from inferox.server.http_response import HttpResponse

Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]
ErrorWriter = Callable[[Failure], HttpResponse]

Methods = Mapping[str, Handler]
"""What answers a path, by the method of the request."""


@dataclass(frozen=True)
class Protocol:
    """A protocol as the application knows it.

    Attributes:
        write_error: Writes errors as its clients read them.
        routes: What answers, by path.
        families: What answers paths that begin alike, by their beginning.
    """

    write_error: ErrorWriter
    routes: Mapping[str, Methods]
    families: Mapping[str, Methods] = field(default_factory=dict)


def reading(handler: Handler) -> Methods:
    """What answers a path that is only read.

    Args:
        handler: Answers it.
    """
    return {"GET": handler, "HEAD": handler}


def posting(handler: Handler) -> Methods:
    """What answers a path to which bodies are sent.

    Args:
        handler: Answers it.
    """
    return {"POST": handler}


def posting_json(answer: Callable[[bytes], Coroutine[Any, Any, HttpResponse]]) -> Methods:
    """What answers a path to which bodies are sent that are JSON.

    Args:
        answer: Answers a body.
    """

    async def handle(request: HttpRequest) -> HttpResponse:
        return await request.answer_json(answer)

    return posting(handle)
