"""The admin listener: loads and unloads models."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from msgspec import Struct, json

from inferox.server.app import App
from inferox.server.config import ServerConfig
from inferox.server.health import Health
from inferox.server.http_error import HttpError
from inferox.server.http_request import HttpRequest
from inferox.server.http_response import JSON, HttpResponse
from inferox.server.json_body import JsonBody
from inferox.server.model_control import ModelControl
from inferox.server.oip.error_body import OIP_ERRORS
from inferox.server.oip.server_routes import list_models
from inferox.server.protocol import Operation, Protocol, posting
from inferox.server.request_observer import RequestObserver
from inferox.server.service import Service

_START = "/v2/repository/models/"


class _ControlParameters(Struct, forbid_unknown_fields=True):
    """Parameters that Triton's clients send; files and configurations in requests are refused by name."""

    unload_dependents: bool | None = None


class _ControlBody(Struct):
    parameters: _ControlParameters | None = None


class _IndexBody(Struct):
    ready: bool | None = None


_CONTROL, _INDEX = JsonBody(_ControlBody), JsonBody(_IndexBody)


class AdminApp(App):
    """Answers the admin requests over HTTP, as Triton's clients send them.

    Args:
        service: The service that holds the models.
        control: Loads and unloads them.
        config: The settings; ``admin_keys`` are the API keys that are accepted.
        observer: Notified of each request.
    """

    def __init__(
        self, service: Service, control: ModelControl, config: ServerConfig, observer: RequestObserver
    ) -> None:
        self._control = control
        super().__init__(service, replace(config, api_keys=config.admin_keys), observer)

    def _make_protocols(self) -> list[Protocol]:
        routes = {
            **Health(self._service).routes,
            "/v2/repository/index": posting(
                self._list_all, "Lists the models.", _IndexBody, gives=list[dict[str, str]]
            ),
        }
        changing = posting(self._change, "Loads or unloads a model.", _ControlBody, gives={JSON: None})
        return [Protocol(OIP_ERRORS, routes, {_START: changing}, name="Administration")]

    def _find(self, request: HttpRequest) -> Operation:
        """Refuses requests of web pages: one in the operator's browser could reach addresses of this machine."""
        if request.header("origin") is not None or request.header("sec-fetch-site") not in {None, "none"}:
            raise HttpError(403, "not_allowed", "requests from web pages are not accepted here")
        return super()._find(request)

    async def _list_all(self, request: HttpRequest) -> HttpResponse:
        async def answer(body: bytes) -> HttpResponse:
            ready_only = bool(body and _INDEX.read(body).ready)
            models = list_models(self._service, ready_only=ready_only)
            if not ready_only:
                unloaded = await self._control.list_unloaded()
                models += [
                    {"name": name, "version": "", "state": "UNAVAILABLE", "reason": reason}
                    for name, reason in unloaded.items()
                ]
            return HttpResponse(json.encode(models))

        return await request.answer_binary(answer)

    async def _change(self, request: HttpRequest) -> HttpResponse:
        name, _, action = request.path.removeprefix(_START).rpartition("/")
        actions: dict[str, Callable[[str], Awaitable[None]]] = {
            "load": self._control.load,
            "unload": self._control.unload,
        }
        if not name or action not in actions:
            raise HttpError(404, "unknown_route", f"there is nothing at {request.path[:200]!r}")

        async def answer(body: bytes) -> HttpResponse:
            if body:
                _CONTROL.read(body)
            await actions[action](name)
            return HttpResponse()

        return await request.answer_binary(answer)
