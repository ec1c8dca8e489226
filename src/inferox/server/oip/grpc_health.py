"""The standard gRPC health checks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from inferox.core import ModelNotFoundError, OverloadedError, RequestError
from inferox.server.oip.grpc_messages import HEALTH, INFERENCE, GrpcMessages
from inferox.server.service import Service

_OF_SERVER = frozenset({"", f"{INFERENCE}.GRPCInferenceService"})
"""Service names that mean the whole server; others are those of models."""

_EVERY_S = 0.25
"""The interval at which watchers learn of changes."""


class GrpcHealth:
    """Answers health checks: of the server, and of each model by its name.

    Args:
        service: The service to check.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._messages = GrpcMessages(HEALTH)

    def handler(self) -> Any:
        """Returns the generic handler to register with the gRPC server."""
        write = self._messages.of("HealthCheckResponse").SerializeToString
        handlers = {
            "Check": grpc.unary_unary_rpc_method_handler(self._check, response_serializer=write),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch, response_serializer=write),
        }
        return grpc.method_handlers_generic_handler(f"{HEALTH}.Health", handlers)

    async def _check(self, content: bytes, context: Any) -> Any:
        name = await self._read(content, context)
        status = self._status_of(name)
        if status == "SERVICE_UNKNOWN":
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no model {name[:200]!r}")
        return self._messages.make("HealthCheckResponse", {"status": status})

    async def _watch(self, content: bytes, context: Any) -> AsyncIterator[Any]:
        name, told = await self._read(content, context), None
        while True:
            status = self._status_of(name)
            if status != told:
                told = status
                yield self._messages.make("HealthCheckResponse", {"status": status})
            await asyncio.sleep(_EVERY_S)

    async def _read(self, content: bytes, context: Any) -> str:
        try:
            return str(self._messages.read("HealthCheckRequest", content).service)
        except RequestError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise

    def _status_of(self, name: str) -> str:
        try:
            model = None if name in _OF_SERVER else self._service.find(name).name
        except OverloadedError:
            return "NOT_SERVING"
        except ModelNotFoundError:
            return "SERVICE_UNKNOWN"
        return "SERVING" if self._service.why_not_ready(model) is None else "NOT_SERVING"
