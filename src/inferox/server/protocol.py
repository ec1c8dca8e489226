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


@dataclass(frozen=True)
class Operation:
    """What answers one method of a path.

    Attributes:
        answer: Answers a request.
        about: What it does, in a sentence for those who write clients.
        bodies: The kinds of bodies that it takes, each a ``msgspec.Struct``; empty where it takes none.
    """

    answer: Handler
    about: str
    bodies: tuple[type, ...] = ()


Methods = Mapping[str, Operation]
"""What answers a path, by the method of the request."""


@dataclass(frozen=True)
class Protocol:
    """A protocol as the application knows it.

    Attributes:
        write_error: Writes errors as its clients read them.
        routes: What answers, by path.
        families: What answers paths that begin alike, by their beginning.
        templates: The paths of the families as OpenAPI writes them, such as ``/v1/models/{id}``. A family that has none
            here answers nothing but that it is not offered.
        name: What people call it.
    """

    write_error: ErrorWriter
    routes: Mapping[str, Methods]
    families: Mapping[str, Methods] = field(default_factory=dict)
    templates: Mapping[str, Methods] = field(default_factory=dict)
    name: str = field(kw_only=True)


def reading(handler: Handler, about: str) -> Methods:
    """What answers a path that is only read.

    Args:
        handler: Answers it.
        about: See ``Operation``.
    """
    operation = Operation(handler, about)
    return {"GET": operation, "HEAD": operation}


def posting(handler: Handler, about: str, *bodies: type) -> Methods:
    """What answers a path to which bodies are sent.

    Args:
        handler: Answers it.
        about: See ``Operation``.
        *bodies: See ``Operation``.
    """
    return {"POST": Operation(handler, about, bodies)}


def posting_json(answer: Callable[[bytes], Coroutine[Any, Any, HttpResponse]], about: str, *bodies: type) -> Methods:
    """What answers a path to which bodies are sent that are JSON.

    Args:
        answer: Answers a body.
        about: See ``Operation``.
        *bodies: See ``Operation``.
    """

    async def handle(request: HttpRequest) -> HttpResponse:
        return await request.answer_json(answer)

    return posting(handle, about, *bodies)
