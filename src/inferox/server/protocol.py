"""A protocol, as the application sees it: its routes and its error format."""

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
    """The error format of a protocol.

    Attributes:
        write: Writes errors as the protocol's clients read them.
        body: The type of their bodies: a ``msgspec.Struct``.
    """

    write: ErrorWriter
    body: type


@dataclass(frozen=True)
class Operation:
    """The handler of one method of a path, with its description.

    Attributes:
        answer: Answers a request.
        about: A one-sentence summary for authors of clients.
        bodies: The types of request bodies, each a ``msgspec.Struct``; empty if it takes no body.
        gives: The bodies of responses with status 200, by content type: the type of the JSON, as ``msgspec`` knows it,
            or ``None`` for other content. Empty if there is never such a response.
        also: The types of response bodies with further statuses, besides those of errors.
        other_errors: Error formats that it uses besides its protocol's.
        computes: The tasks of the models that may compute the response; ``None`` for any task, empty if no model does.
        read_model: Reads from a path which model it names, or a name that no model has; ``None`` if paths name none.
    """

    answer: Handler
    about: str
    bodies: tuple[type, ...] = ()
    gives: Mapping[str, Any] = field(default_factory=dict)
    also: Mapping[int, Any] = field(default_factory=dict)
    other_errors: tuple[ErrorForm, ...] = ()
    computes: Sequence[str] | None = ()
    read_model: Callable[[str], str] | None = None

    @property
    def refused_for(self) -> Sequence[str] | None:
        """The tasks whose models, if all are at their limit, are the reason to refuse a request by its headers.

        As ``computes``, but none if only the body tells in which format the client reads errors of models.
        """
        return () if self.other_errors else self.computes


Methods = Mapping[str, Operation]
"""The operations of a path, by HTTP method."""


@dataclass(frozen=True)
class Protocol:
    """A protocol, as the application sees it.

    Attributes:
        errors: Its error format.
        routes: The operations, by path.
        families: The operations of all paths with a prefix, by that prefix.
        templates: The paths of the families as OpenAPI writes them, such as ``/v1/models/{id}``. A family without any
            only refuses requests.
        name: Its name for people.
    """

    errors: ErrorForm
    routes: Mapping[str, Methods]
    families: Mapping[str, Methods] = field(default_factory=dict)
    templates: Mapping[str, Methods] = field(default_factory=dict)
    name: str = field(kw_only=True)


def reading(handler: Handler, about: str, gives: Any, *, also: Mapping[int, Any] | None = None) -> Methods:
    """Makes the operations of a path that is read with GET.

    Args:
        handler: Answers a request.
        about: See ``Operation``.
        gives: The type of the JSON in responses; or types by content type, see ``Operation``.
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
    read_model: Callable[[str], str] | None = None,
) -> Methods:
    """Makes the operations of a path that takes POST.

    Args:
        handler: Answers a request.
        about: See ``Operation``.
        *bodies: See ``Operation``.
        gives: See ``reading``.
        other_errors: See ``Operation``.
        computes: See ``Operation``.
        read_model: See ``Operation``.
    """
    operation = Operation(
        handler,
        about,
        bodies,
        _by_content_type(gives),
        other_errors=other_errors,
        computes=computes,
        read_model=read_model,
    )
    return {"POST": operation}


def posting_json(
    answer: Callable[[bytes], Coroutine[Any, Any, HttpResponse]],
    about: str,
    *bodies: type,
    gives: Any,
    computes: Sequence[str] | None = (),
) -> Methods:
    """Makes the operations of a path that takes POST with a JSON body.

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
