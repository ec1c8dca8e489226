"""Whether the server lives, and whether it should be sent requests."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET, Struct, UnsetType, json

from inferox.server.http_request import HttpRequest
from inferox.server.http_response import HttpResponse
from inferox.server.protocol import Methods, reading
from inferox.server.service import Service

_NOT_READY = 503


class Life(Struct, forbid_unknown_fields=True):
    """The process answers."""

    live: bool


class Readiness(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Whether every model can be computed, and why not."""

    ready: bool
    reason: str | UnsetType = UNSET


class Health:
    """Answers those who watch over the server.

    Args:
        service: What is watched.

    Attributes:
        routes: What answers, by path.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self.routes: Mapping[str, Methods] = {
            "/health/live": reading(self._answer_live, "Says that the process answers.", Life),
            "/health/ready": reading(
                self._answer_ready,
                "Says whether every model can be computed now.",
                Readiness,
                also={_NOT_READY: Readiness},
            ),
        }

    async def _answer_live(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        """Says that the process answers, whatever its workers do."""
        return HttpResponse(json.encode(Life(live=True)))

    async def _answer_ready(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        """Says whether every model can be computed now."""
        reason = self._service.why_not_ready()
        if reason is None:
            return HttpResponse(json.encode(Readiness(ready=True)))
        return HttpResponse(json.encode(Readiness(ready=False, reason=reason)), _NOT_READY)
