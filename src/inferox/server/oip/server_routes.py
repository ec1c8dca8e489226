"""The routes about the whole server."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from msgspec import json

from inferox.server.http_request import HttpRequest
from inferox.server.http_response import HttpResponse
from inferox.server.oip.inference import Inference
from inferox.server.service import Service

EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")
"""The supported extensions of Triton."""

_NOT_READY = 503


def describe_server() -> dict[str, Any]:
    """Returns the metadata of the server."""
    return {"name": "inferox", "version": version("inferox"), "extensions": list(EXTENSIONS)}


def list_models(service: Service, *, ready_only: bool) -> list[dict[str, Any]]:
    """Returns the models, as listed in the repository index.

    Args:
        service: The service that holds the models.
        ready_only: Whether to leave out models that cannot be computed now.
    """
    found = []
    for info in service.models():
        reason = service.why_not_ready(info.name)
        if reason is None or not ready_only:
            state = "READY" if reason is None else "UNAVAILABLE"
            found.append({"name": info.name, "version": info.version, "state": state, "reason": reason or ""})
    return found


class ServerRoutes:
    """Answers requests about the whole server.

    Args:
        service: The service that holds the models.
        inference: Computes the requests.
    """

    def __init__(self, service: Service, inference: Inference) -> None:
        self._service = service
        self._inference = inference

    async def describe(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        """Returns the metadata of the server."""
        return HttpResponse(json.encode(describe_server()))

    async def describe_statistics(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        """Returns the statistics of every model."""
        return HttpResponse(json.encode(await self._inference.describe_statistics()))

    async def say_live(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        """Returns that the process is live."""
        return HttpResponse(json.encode({"live": True}))

    async def say_ready(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        """Returns whether every model can be computed now."""
        reason = self._service.why_not_ready()
        if reason is None:
            return HttpResponse(json.encode({"ready": True}))
        return HttpResponse(json.encode({"ready": False, "error": reason}), _NOT_READY)
