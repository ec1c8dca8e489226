"""The ASGI application: finds the route of a request, and turns exceptions into responses."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import nullcontext

from inferox.server.api_keys import ApiKeys
from inferox.server.call_options import ARTIFACT_HEADER, current_artifact
from inferox.server.cohere.protocol import make_cohere
from inferox.server.config import ServerConfig
from inferox.server.early_refusal import EarlyRefusals
from inferox.server.failure import INTERNAL, read_failure
from inferox.server.health import Health
from inferox.server.http_error import ClientGoneError, HttpError
from inferox.server.http_request import HttpRequest, Message, Receive, Scope, Send
from inferox.server.http_response import HttpResponse
from inferox.server.intake import Intake
from inferox.server.metrics import TEXT, Metrics
from inferox.server.oip.inference import Inference
from inferox.server.oip.protocol import make_oip
from inferox.server.openai.error_body import OPENAI_ERRORS
from inferox.server.openai.protocol import make_openai
from inferox.server.openapi import OpenApiRoute
from inferox.server.page.routes import OPEN_PATHS, PageRoutes
from inferox.server.protocol import ErrorWriter, Methods, Operation, Protocol, reading
from inferox.server.request_observer import RequestObserver
from inferox.server.request_record import current_record
from inferox.server.rerank.protocol import make_rerank
from inferox.server.service import Service
from inferox.server.tei.protocol import make_tei

_logger = logging.getLogger(__name__)

CLIENT_GONE = 499
"""The status in logs of a request whose client disconnected before there was a response."""

_OPEN = {"/health/live", "/health/ready", "/health", "/ping", "/v2/health/live", "/v2/health/ready", *OPEN_PATHS}
"""Paths that need no API key: health checks, and files that are the same for everybody."""


class App:
    """Answers HTTP requests.

    Args:
        service: Computes the answers, whatever the protocol.
        config: The settings.
        observer: Notified of each request; ``None`` for nobody.

    Attributes:
        intake: Limits the requests and bytes in progress.
        keys: The API keys.
        observer: Notified of each request.
        inference: Computes requests of the Open Inference Protocol, which also arrive over gRPC.
        early: Refuses requests before they are read.
    """

    def __init__(self, service: Service, config: ServerConfig, observer: RequestObserver | None = None) -> None:
        self._service = service
        self.observer = observer or RequestObserver()
        self.inference = Inference(service)
        self.keys = ApiKeys(config.api_keys)
        self.intake = Intake(config.request_limit, config.held_limit_bytes)
        self.early = EarlyRefusals(service, self.intake, self.keys)
        self._config = config
        self._answers: Counter[int] = Counter()
        self._routes: dict[str, tuple[Methods, ErrorWriter]] = {}
        self._families: dict[str, tuple[Methods, ErrorWriter]] = {}
        for protocol in self._make_protocols():
            self._routes |= {path: (methods, protocol.errors.write) for path, methods in protocol.routes.items()}
            self._families |= {start: (methods, protocol.errors.write) for start, methods in protocol.families.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request; see ASGI.

        Args:
            scope: The connection scope.
            receive: Awaits messages from the client.
            send: Sends messages to the client.
        """
        request = HttpRequest(scope, receive, self.intake, self._config)
        current_record.set(request.record)
        current_artifact.set(request.header(ARTIFACT_HEADER))
        self.observer.begin(request.record, computes=request.method == "POST")
        try:
            operation = self._find(request)
            with nullcontext() if _is_open(request) else self.keys.admit(request.api_key):
                response = await operation.answer(request)
        except ClientGoneError:
            self.observer.end(request.record, CLIENT_GONE, 0)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a response
            response = self._write_error(error, request)
        await self._finish(request, response).write(send)

    def refuse_early(self, scope: Scope) -> HttpResponse | None:
        """Refuses a request by its headers, before its body is read, if there is no room for it.

        Args:
            scope: The ASGI connection scope.

        Returns:
            The refusal; ``None`` if the request is to be answered as usual.
        """
        if not self.early.are_possible:
            return None
        request = HttpRequest(scope, _receive_nothing, self.intake, self._config)
        try:
            operation = self._find(request)
            if not operation.bodies:  # it takes next to nothing
                return None
            model = None if operation.read_model is None else operation.read_model(request.path)
            # A body that is too large is refused as such, on the usual path.
            expected_bytes = min(request.expected_bytes, self._config.body_limit_bytes)
            refusal = self.early.find(request.api_key, operation.refused_for, model, expected_bytes=expected_bytes)
        except HttpError:  # reported on the usual path
            return None
        if refusal is None:
            return None
        request.record.owner = refusal.owner
        self.observer.begin(request.record, computes=True)
        return self._finish(request, self._write_error(refusal.error, request))

    def _make_protocols(self) -> list[Protocol]:
        """Makes all protocols that this server speaks; where two have the same path, the later one wins."""
        watching = {
            **Health(self._service).routes,
            "/metrics": reading(
                Metrics(self._service, self._answers, self.observer).answer,
                "Returns the metrics of the server, in Prometheus' format.",
                {TEXT: None},
            ),
        }
        page = PageRoutes(self._service, self._answers, self._config)
        protocols = [
            Protocol(OPENAI_ERRORS, watching, name="Server"),
            make_openai(self._service, self._config),
            page.at_home(make_tei(self._service, self._config)),
            make_rerank(self._service),
            make_cohere(self._service),
            make_oip(self._service, self.inference),
            page.protocol,
        ]
        return [*protocols, OpenApiRoute(protocols).protocol]

    def _find(self, request: HttpRequest) -> Operation:
        route: str | None = request.path
        found = self._routes.get(request.path)
        if found is None:
            route = next((start for start in self._families if request.path.startswith(start)), None)
            found = None if route is None else self._families[route]
        if found is None:
            raise HttpError(404, "unknown_route", f"there is nothing at {request.path[:200]!r}")
        handlers, request.write_error = found
        request.record.route = route
        if request.method not in handlers:
            allowed = ", ".join(handlers)
            raise HttpError(
                405,
                "method_not_allowed",
                f"{request.path[:200]!r} takes {allowed}, not {request.method[:20]!r}",
                {"allow": allowed},
            )
        return handlers[request.method]

    def _write_error(self, error: Exception, request: HttpRequest) -> HttpResponse:
        failure = read_failure(error, request.id)
        if failure.status == INTERNAL:
            _logger.error("%s failed: %s", request.id, error, exc_info=_logger.isEnabledFor(logging.DEBUG))
        return (request.write_error or OPENAI_ERRORS.write)(failure)

    def _finish(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Counts a response, and adds the headers that all responses have."""
        self._answers[response.status] += 1
        headers = {"x-request-id": request.id}
        if self._service.is_draining:
            headers["connection"] = "close"
        if request.record.trace is not None:
            headers |= request.record.trace.headers
        self.observer.end(request.record, response.status, len(response.body))
        return HttpResponse(response.body, response.status, response.content_type, {**headers, **response.headers})


async def _receive_nothing() -> Message:
    """Stands for the body of a request that is refused before it is read."""
    return {"type": "http.disconnect"}


def _is_open(request: HttpRequest) -> bool:
    """Returns True if a request needs no API key; TEI's probes read ``/``, to which its other clients post."""
    return request.path in _OPEN or (request.path == "/" and request.method in {"GET", "HEAD"})
