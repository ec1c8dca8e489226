"""Whether the server lives, and whether it should be sent requests."""

from __future__ import annotations

from msgspec import json

from inferox.server.http_request import HttpRequest
from inferox.server.http_response import HttpResponse
from inferox.server.service import Service

_NOT_READY = 503


class Health:
    """Answers those who watch over the server.

    Args:
        service: What is watched.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer_live(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        """Says that the process answers, whatever its workers do."""
        return HttpResponse(json.encode({"live": True}))

    async def answer_ready(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        """Says whether every model can be computed now."""
        reason = self._service.why_not_ready()
        if reason is None:
            return HttpResponse(json.encode({"ready": True}))
        return HttpResponse(json.encode({"ready": False, "reason": reason}), _NOT_READY)
