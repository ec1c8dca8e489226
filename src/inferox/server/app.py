"""The server as ASGI has it: finds the route of a request, and turns what is raised into an answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from inferox.server.config import ServerConfig
from inferox.server.failure import INTERNAL, read_failure
from inferox.server.health import Health
from inferox.server.http_error import ClientGoneError, HttpError
from inferox.server.http_request import HttpRequest, Receive, Scope, Send
from inferox.server.http_response import HttpResponse
from inferox.server.intake import Intake
from inferox.server.openai.embeddings import EmbeddingsRoute
from inferox.server.openai.error_body import write_error
from inferox.server.openai.models import ModelsRoute
from inferox.server.service import Service

Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]

_logger = logging.getLogger(__name__)

_OPENAI_PREFIXES = ("/v1", "/openai/v1", "/v3", "")
"""Where clients look for OpenAI's routes: at OpenAI, KServe, OpenVINO Model Server, and at TEI and infinity."""


class App:
    """Answers requests of HTTP.

    Args:
        service: What answers them, whatever the protocol.
        config: The settings.
    """

    def __init__(self, service: Service, config: ServerConfig) -> None:
        self._service = service
        self._limit_bytes = config.body_limit_bytes
        self._intake = Intake(config.request_limit, config.held_limit_bytes)
        health, models, embeddings = Health(service), ModelsRoute(service), EmbeddingsRoute(service)
        self._routes: dict[str, Mapping[str, Handler]] = {
            "/health/live": _reading(health.answer_live),
            "/health/ready": _reading(health.answer_ready),
        }
        self._families: dict[str, Mapping[str, Handler]] = {}
        for prefix in _OPENAI_PREFIXES:
            self._routes[f"{prefix}/embeddings"] = {"POST": embeddings.answer}
            self._routes[f"{prefix}/models"] = _reading(models.list_all)
            self._families[f"{prefix}/models/"] = _reading(models.show)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request; see ASGI.

        Args:
            scope: What it is.
            receive: Gives what its client sends.
            send: Takes what its client gets.
        """
        request = HttpRequest(scope, receive, self._intake, self._limit_bytes)
        try:
            response = await self._find(request)(request)
        except ClientGoneError:
            _logger.debug("%s: the client has gone", request.id)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            response = self._explain(error, request)
        headers = {"x-request-id": request.id}
        if self._service.is_draining:
            headers["connection"] = "close"
        await response.write(send, headers)

    def _find(self, request: HttpRequest) -> Handler:
        handlers = self._routes.get(request.path)
        if handlers is None:
            handlers = next((some for start, some in self._families.items() if request.path.startswith(start)), None)
        if handlers is None:
            raise HttpError(404, "unknown_route", f"there is nothing at {request.path[:200]!r}")
        if request.method not in handlers:
            allowed = ", ".join(handlers)
            raise HttpError(
                405,
                "method_not_allowed",
                f"{request.path[:200]!r} takes {allowed}, not {request.method[:20]!r}",
                {"allow": allowed},
            )
        return handlers[request.method]

    def _explain(self, error: Exception, request: HttpRequest) -> HttpResponse:
        failure = read_failure(error, request.id)
        if failure.status == INTERNAL:
            _logger.error("%s failed: %s", request.id, error, exc_info=_logger.isEnabledFor(logging.DEBUG))
        return write_error(failure)


def _reading(handler: Handler) -> Mapping[str, Handler]:
    return {"GET": handler, "HEAD": handler}
