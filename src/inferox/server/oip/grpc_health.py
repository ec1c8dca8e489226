"""gRPC's own health checks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from inferox.core import ModelNotFoundError, OverloadedError
from inferox.server.oip.grpc_messages import HEALTH, INFERENCE, GrpcMessages
from inferox.server.service import Service

_OF_SERVER = frozenset({"", f"{INFERENCE}.GRPCInferenceService"})
"""What stands for the whole server; other names are those of models."""

_EVERY_S = 0.25
"""How often those who watch are told of a change."""


class GrpcHealth:
    """Answers health checks: of the server, and of each model by its name.

    Args:
        service: What is asked about.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._messages = GrpcMessages(HEALTH)

    def handler(self) -> Any:
        """What gRPC's server is given: a generic handler."""
        request, response = self._messages.of("HealthCheckRequest"), self._messages.of("HealthCheckResponse")
        how = {
            "request_deserializer": request.FromString,
            "response_serializer": response.SerializeToString,
        }
        handlers = {
            "Check": grpc.unary_unary_rpc_method_handler(self._check, **how),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch, **how),
        }
        return grpc.method_handlers_generic_handler(f"{HEALTH}.Health", handlers)

    async def _check(self, message: Any, context: Any) -> Any:
        status = self._status_of(message.service)
        if status == "SERVICE_UNKNOWN":
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no model {message.service[:200]!r}")
        return self._messages.make("HealthCheckResponse", {"status": status})

    async def _watch(self, message: Any, context: Any) -> AsyncIterator[Any]:  # noqa: ARG002 - as gRPC has it
        told = None
        while True:
            status = self._status_of(message.service)
            if status != told:
                told = status
                yield self._messages.make("HealthCheckResponse", {"status": status})
            await asyncio.sleep(_EVERY_S)

    def _status_of(self, name: str) -> str:
        try:
            model = None if name in _OF_SERVER else self._service.find(name).name
        except OverloadedError:
            return "NOT_SERVING"
        except ModelNotFoundError:
            return "SERVICE_UNKNOWN"
        return "SERVING" if self._service.why_not_ready(model) is None else "NOT_SERVING"
