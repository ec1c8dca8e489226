"""The server's OpenAPI description, generated from the routes themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from msgspec import json

from inferox.core import RequestError
from inferox.server.call_options import ARTIFACT_HEADER
from inferox.server.failure import Failure
from inferox.server.http_request import HttpRequest
from inferox.server.http_response import JSON, HttpResponse
from inferox.server.input_texts import EMPTY
from inferox.server.openai.error_body import OPENAI_ERRORS
from inferox.server.protocol import Operation, Protocol, reading

_PARAMETER = re.compile(r"{(\w+)}")


def _example(status: int, code: str | None = None) -> Failure:
    fault = RequestError("a description of the error")
    return Failure(status, "invalid_request_error", code, str(fault), fault, "field")


_READING = tuple(map(_example, (400, 401, 404, 429, 500, 503, 504)))
"""Errors that any request may have."""

_POSTING = (*_READING, *map(_example, (408, 413, 415)), _example(400, "invalid_json"), _example(400, EMPTY))
"""Errors that a request with a body may have."""


_ARTIFACT = {
    "name": ARTIFACT_HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The artifact that computes the request, of those that the operator offers.",
}
"""The header that every computing request may have."""


class OpenApiRoute:
    """Serves the description of all routes.

    Args:
        protocols: The protocols of the server.

    Attributes:
        protocol: The protocol with the route of the description.
    """

    def __init__(self, protocols: Sequence[Protocol]) -> None:
        routes = {"/openapi.json": reading(self._answer, "Describes all routes.", dict[str, Any])}
        self.protocol = Protocol(OPENAI_ERRORS, routes, name="Server")
        self._protocols = (*protocols, self.protocol)
        self._written: bytes | None = None

    async def _answer(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        if self._written is None:
            self._written = json.encode(describe_routes(self._protocols))
        return HttpResponse(self._written)


def describe_routes(protocols: Sequence[Protocol]) -> dict[str, Any]:
    """Describes routes.

    Args:
        protocols: The protocols of the server, in the order in which a reader wants to see them; where two have the
            same path, the later one wins.

    Returns:
        An OpenAPI 3.1 document. It leaves out HEAD, which exists wherever GET does, and routes that only refuse.
    """
    found = {
        path: (protocol, methods)
        for protocol in protocols
        for path, methods in {**protocol.routes, **protocol.templates}.items()
    }
    operations = [(protocol, each) for protocol, methods in found.values() for each in methods.values()]
    components = _Components(kind for protocol, operation in operations for kind in _kinds_of(protocol, operation))
    return {
        "openapi": "3.1.0",
        "info": {"title": "Inferox", "version": version("inferox")},
        "security": [{}, {"key": []}],
        "tags": [{"name": name} for name in dict.fromkeys(protocol.name for protocol in protocols)],
        "paths": {
            path: {
                **_describe_parameters(path),
                **{
                    method.lower(): _describe(protocol, methods[method], components)
                    for method in methods
                    if method != "HEAD"
                },
            }
            for path, (protocol, methods) in sorted(found.items())
        },
        "components": {
            "schemas": components.schemas,
            "responses": dict(sorted(components.responses.items())),
            "parameters": {ARTIFACT_HEADER: _ARTIFACT},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "Needed where the server has API keys."}
            },
        },
    }


class _Components:
    """Components that routes share, so that they are described once.

    Args:
        kinds: The types of request and response bodies.

    Attributes:
        schemas: The schemas that types share, by name.
        responses: The error responses that routes refer to, by name.
    """

    def __init__(self, kinds: Iterable[Any]) -> None:
        # Some types, such as those of unions, have no hash.
        self._kinds = list({repr(kind): kind for kind in kinds}.values())
        self._schemas, self.schemas = json.schema_components(self._kinds, ref_template="#/components/schemas/{name}")
        self.responses: dict[str, Any] = {}

    def any_of(self, kinds: Sequence[Any]) -> dict[str, Any]:
        """Returns the schema of a value of one of several types."""
        found = {repr(kind): self._schemas[self._kinds.index(kind)] for kind in kinds}
        return next(iter(found.values())) if len(found) == 1 else {"anyOf": list(found.values())}

    def refer_to(self, status: int, kinds: Sequence[type], example: bytes | None) -> dict[str, Any]:
        """Returns a reference to an error response with a status, adding it to the components."""
        name = f"{'-or-'.join(dict.fromkeys(kind.__name__ for kind in kinds))}-{status}"
        shown = {"schema": self.any_of(kinds)} | ({} if example is None else {"example": json.decode(example)})
        self.responses[name] = {"description": f"{HTTPStatus(status).phrase}.", "content": {JSON: shown}}
        return {"$ref": f"#/components/responses/{name}"}


def _kinds_of(protocol: Protocol, operation: Operation) -> list[Any]:
    errors = [form.body for form in (protocol.errors, *operation.other_errors)]
    gives = [kind for kind in operation.gives.values() if kind is not None]
    return [*operation.bodies, *gives, *operation.also.values(), *errors]


def _describe_parameters(path: str) -> dict[str, Any]:
    names = _PARAMETER.findall(path)
    if not names:
        return {}
    return {
        "parameters": [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    }


def _describe(protocol: Protocol, operation: Operation, components: _Components) -> dict[str, Any]:
    described: dict[str, Any] = {"summary": operation.about, "tags": [protocol.name]}
    if operation.bodies:
        body = components.any_of(operation.bodies)
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
        described["parameters"] = [{"$ref": f"#/components/parameters/{ARTIFACT_HEADER}"}]
    described["responses"] = {}
    if operation.gives:
        content = {
            kind: {} if holds is None else {"schema": components.any_of([holds])}
            for kind, holds in operation.gives.items()
        }
        described["responses"]["200"] = {"description": "The answer.", "content": content}
    for status, (kinds, example) in sorted(_find_errors(protocol, operation).items()):
        described["responses"][str(status)] = components.refer_to(status, kinds, example)
    return described


def _find_errors(protocol: Protocol, operation: Operation) -> dict[int, tuple[list[Any], bytes | None]]:
    """Returns the types of error bodies, by status, with an example of the first error that the protocol writes."""
    found: dict[int, tuple[list[Any], bytes | None]] = {
        status: ([kind], None) for status, kind in operation.also.items()
    }
    for form in (protocol.errors, *operation.other_errors):
        for failure in _POSTING if operation.bodies else _READING:
            written = form.write(failure)
            kinds, example = found.setdefault(written.status, ([], written.body if failure is _READING[0] else None))
            found[written.status] = ([*kinds, form.body], example)
    return found
