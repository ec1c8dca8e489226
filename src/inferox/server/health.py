"""Health checks: whether the server is live, and whether it is ready for requests."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET, Struct, UnsetType, json

from inferox.server.http_request import HttpRequest
from inferox.server.http_response import HttpResponse
from inferox.server.protocol import Methods, reading
from inferox.server.service import Service

_NOT_READY = 503


class Life(Struct, forbid_unknown_fields=True):
    """The liveness of the server: the process answers."""

    live: bool


class Readiness(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The readiness of the server: whether every model can be computed, and if not, why."""

    ready: bool
    reason: str | UnsetType = UNSET


class Health:
    """Answers health checks.

    Args:
        service: The service to check.

    Attributes:
        routes: The handlers, by path.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self.routes: Mapping[str, Methods] = {
            "/health/live": reading(self._answer_live, "Returns that the process is live.", Life),
            "/health/ready": reading(
                self._answer_ready,
                "Returns whether every model can be computed now.",
                Readiness,
                also={_NOT_READY: Readiness},
            ),
        }

    async def _answer_live(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        """Answers that the process is live, whatever its workers do."""
        return HttpResponse(json.encode(Life(live=True)))

    async def _answer_ready(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        """Answers whether every model can be computed now."""
        reason = self._service.why_not_ready()
        if reason is None:
            return HttpResponse(json.encode(Readiness(ready=True)))
        return HttpResponse(json.encode(Readiness(ready=False, reason=reason)), _NOT_READY)
