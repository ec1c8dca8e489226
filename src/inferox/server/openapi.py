"""What the server answers, as OpenAPI describes it: made of the routes themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import msgspec
from msgspec import json

from inferox.core import RequestError
from inferox.server.failure import Failure
from inferox.server.http_request import HttpRequest
from inferox.server.http_response import JSON, HttpResponse
from inferox.server.openai.error_body import write_error
from inferox.server.protocol import Operation, Protocol, reading

_PARAMETER = re.compile(r"{(\w+)}")

_FAULT = RequestError("what is wrong with the request")
_EXAMPLE = Failure(400, "invalid_request_error", "code", str(_FAULT), _FAULT, "field")


class OpenApiRoute:
    """Answers with the description of all routes.

    Args:
        protocols: What the server speaks.

    Attributes:
        protocol: Where the description is.
    """

    def __init__(self, protocols: Sequence[Protocol]) -> None:
        routes = {"/openapi.json": reading(self._answer, "Describes all routes.")}
        self.protocol = Protocol(write_error, routes, name="Server")
        self._protocols = (*protocols, self.protocol)
        self._written: bytes | None = None

    async def _answer(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        if self._written is None:
            self._written = json.encode(describe_routes(self._protocols))
        return HttpResponse(self._written)


def describe_routes(protocols: Iterable[Protocol]) -> dict[str, Any]:
    """Describes routes.

    Args:
        protocols: What the server speaks; of two that have the same path, the last has it.

    Returns:
        A document of OpenAPI 3.1. It leaves HEAD out, which is there wherever GET is, and what is only refused.
    """
    found = {
        path: (protocol, methods)
        for protocol in protocols
        for path, methods in {**protocol.routes, **protocol.templates}.items()
    }
    bodies = list({body: None for _, methods in found.values() for each in methods.values() for body in each.bodies})
    schemas, components = msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
    named = dict(zip(bodies, schemas, strict=True))
    return {
        "openapi": "3.1.0",
        "info": {"title": "Inferox", "version": version("inferox")},
        "security": [{}, {"key": []}],
        "paths": {
            path: {
                **_describe_parameters(path),
                **{
                    method.lower(): _describe(protocol, methods[method], named)
                    for method in methods
                    if method != "HEAD"
                },
            }
            for path, (protocol, methods) in sorted(found.items())
        },
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "Needed where the server has API keys."}
            },
        },
    }


def _describe_parameters(path: str) -> dict[str, Any]:
    names = _PARAMETER.findall(path)
    if not names:
        return {}
    return {
        "parameters": [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    }


def _describe(protocol: Protocol, operation: Operation, schemas: Mapping[type, dict[str, Any]]) -> dict[str, Any]:
    error = json.decode(protocol.write_error(_EXAMPLE).body)
    described: dict[str, Any] = {
        "summary": operation.about,
        "tags": [protocol.name],
        "responses": {
            "200": {"description": "The answer."},
            "default": {"description": "What is wrong.", "content": {JSON: {"example": error}}},
        },
    }
    if operation.bodies:
        bodies = [schemas[body] for body in operation.bodies]
        schema = bodies[0] if len(bodies) == 1 else {"anyOf": bodies}
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    return described
