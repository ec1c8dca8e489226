"""A protocol as the application knows it: where its routes are, and how it says that something is wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inferox.server.failure import Failure
from inferox.server.http_request import HttpRequest
from inferox.server.http_response import JSON, HttpResponse

Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]
ErrorWriter = Callable[[Failure], HttpResponse]


@dataclass(frozen=True)
class ErrorForm:
    """How a protocol says that something is wrong.

    Attributes:
        write: Writes errors as its clients read them.
        body: What those hold: a ``msgspec.Struct``.
    """

    write: ErrorWriter
    body: type


@dataclass(frozen=True)
class Operation:
    """What answers one method of a path.

    Attributes:
        answer: Answers a request.
        about: What it does, in a sentence for those who write clients.
        bodies: The kinds of bodies that it takes, each a ``msgspec.Struct``; empty where it takes none.
        gives: What it answers with status 200: for each content type what JSON holds, as a type that ``msgspec`` knows,
            or ``None`` where it is no JSON. Empty where there is never such an answer.
        also: What it answers with other statuses than errors have, likewise as types.
        other_errors: How it says that something is wrong where it does not do so as its protocol does.
        computes: The tasks of the models of which one computes whatever it answers; ``None`` for any task. Empty where
            it answers something else.
    """

    answer: Handler
    about: str
    bodies: tuple[type, ...] = ()
    gives: Mapping[str, Any] = field(default_factory=dict)
    also: Mapping[int, Any] = field(default_factory=dict)
    other_errors: tuple[ErrorForm, ...] = ()
    computes: Sequence[str] | None = ()

    @property
    def is_refused_early(self) -> bool:
        """Whether it refuses by the head of a request where no model takes in more.

        It does not where the body alone says in which form its client reads errors.
        """
        return self.computes != () and not self.other_errors


Methods = Mapping[str, Operation]
"""What answers a path, by the method of the request."""


@dataclass(frozen=True)
class Protocol:
    """A protocol as the application knows it.

    Attributes:
        errors: How it says that something is wrong.
        routes: What answers, by path.
        families: What answers paths that begin alike, by their beginning.
        templates: The paths of the families as OpenAPI writes them, such as ``/v1/models/{id}``. A family that has none
            here answers nothing but that it is not offered.
        name: What people call it.
    """

    errors: ErrorForm
    routes: Mapping[str, Methods]
    families: Mapping[str, Methods] = field(default_factory=dict)
    templates: Mapping[str, Methods] = field(default_factory=dict)
    name: str = field(kw_only=True)


def reading(handler: Handler, about: str, gives: Any, *, also: Mapping[int, Any] | None = None) -> Methods:
    """What answers a path that is only read.

    Args:
        handler: Answers it.
        about: See ``Operation``.
        gives: What the JSON of its answers holds; or what they hold by content type, as ``Operation`` has it.
        also: See ``Operation``.
    """
    operation = Operation(handler, about, gives=_by_content_type(gives), also=also or {})
    return {"GET": operation, "HEAD": operation}


def posting(
    handler: Handler,
    about: str,
    *bodies: type,
    gives: Any,
    other_errors: tuple[ErrorForm, ...] = (),
    computes: Sequence[str] | None = (),
) -> Methods:
    """What answers a path to which bodies are sent.

    Args:
        handler: Answers it.
        about: See ``Operation``.
        *bodies: See ``Operation``.
        gives: See ``reading``.
        other_errors: See ``Operation``.
        computes: See ``Operation``.
    """
    operation = Operation(handler, about, bodies, _by_content_type(gives), other_errors=other_errors, computes=computes)
    return {"POST": operation}


def posting_json(
    answer: Callable[[bytes], Coroutine[Any, Any, HttpResponse]],
    about: str,
    *bodies: type,
    gives: Any,
    computes: Sequence[str] | None = (),
) -> Methods:
    """What answers a path to which bodies are sent that are JSON.

    Args:
        answer: Answers a body.
        about: See ``Operation``.
        *bodies: See ``Operation``.
        gives: See ``reading``.
        computes: See ``Operation``.
    """

    async def handle(request: HttpRequest) -> HttpResponse:
        return await request.answer_json(answer)

    return posting(handle, about, *bodies, gives=gives, computes=computes)


def _by_content_type(gives: Any) -> Mapping[str, Any]:
    return gives if isinstance(gives, Mapping) else {JSON: gives}
