"""The routes of the page: its files, and the data that it loads."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from functools import partial
from importlib.resources import files
from typing import Any

from msgspec import json

from inferox.core import DeviceId, InferoxError
from inferox.engine import EngineConfig
from inferox.machine import resolve_threads
from inferox.server.config import ServerConfig
from inferox.server.http_request import HttpRequest
from inferox.server.http_response import HttpResponse
from inferox.server.openai.error_body import OPENAI_ERRORS
from inferox.server.page.state import PageState, describe_evidence, describe_state
from inferox.server.protocol import Protocol, reading
from inferox.server.service import Service

_TYPES = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}

_FILES = ("style.css", "page.js", "artifacts.js", "charts.js", "elements.js", "playground.js", "routes.js", "trials.js")

_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
"""Headers of every file: nothing is loaded from elsewhere, only the page's own scripts run, and it is never framed."""

OPEN_PATHS = frozenset({"/docs", "/openapi.json", *(f"/page/{name}" for name in _FILES)})
"""Paths that need no API key: files that are the same for everybody."""


class PageRoutes:
    """Serves the page.

    Args:
        service: The service that it shows.
        answers: The number of responses, by status.
        config: The settings, which decide the measurements of a package that apply.

    Attributes:
        protocol: The routes of the page's files and data.
    """

    def __init__(self, service: Service, answers: Counter[int], config: ServerConfig) -> None:
        self._service = service
        self._answers = answers
        self._threads = (
            EngineConfig(threads=config.threads, workers=config.workers, isolation="process").of_worker().threads
        )
        routes = {
            "/docs": reading(partial(self._show, "docs.html"), "Shows all routes.", {_TYPES["html"]: None}),
            "/page/state": reading(self._answer_state, "Returns the data of the page's charts.", PageState),
            "/page/evidence": reading(
                self._answer_evidence,
                "Returns the measured agreement and times of each model's artifacts.",
                dict[str, list[dict[str, Any]]],
            ),
        }
        routes |= {
            f"/page/{name}": reading(
                partial(self._show, name), "Returns a file of the page.", {_TYPES[name.rpartition(".")[2]]: None}
            )
            for name in _FILES
        }
        self.protocol = Protocol(OPENAI_ERRORS, routes, name="Page")

    def at_home(self, protocol: Protocol) -> Protocol:
        """Returns a protocol that answers ``/`` with the page if the client accepts HTML, and otherwise as before.

        Args:
            protocol: The protocol; without a route ``/``, it is returned unchanged.
        """
        methods = protocol.routes.get("/")
        if methods is None:
            return protocol
        probe = methods["GET"]

        async def answer(request: HttpRequest) -> HttpResponse:
            if "text/html" in (request.header("accept") or ""):
                return await self._show("index.html", request)
            return await probe.answer(request)

        about = "Shows the page if the accept header has text/html; otherwise returns whether models can be computed."
        return replace(
            protocol,
            routes={
                **protocol.routes,
                "/": {**methods, **reading(answer, about, {_TYPES["html"]: None, **probe.gives}, also=probe.also)},
            },
        )

    async def _show(self, name: str, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        body = await asyncio.to_thread(files("inferox.server.page").joinpath("static", name).read_bytes)
        return HttpResponse(body, content_type=_TYPES[name.rpartition(".")[2]], headers=_HEADERS)

    async def _answer_state(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        models = await self._service.stats_of_all()
        return HttpResponse(json.encode(describe_state(models, self._answers, self._service.why_not_ready())))

    async def _answer_evidence(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        names = [info.name for info in self._service.models()]
        found = await asyncio.gather(*(asyncio.to_thread(self._read_evidence, name) for name in names))
        return HttpResponse(json.encode(dict(zip(names, found, strict=True))))

    def _read_evidence(self, name: str) -> list[dict[str, object]]:
        """Returns the parity evidence in a model's package, with the times that its workers were measured to take.

        If it has no readable package, the list is empty.
        """
        # Imported here: only those who open the page need it, and the server starts without it.
        from inferox.loading.profile_store import find_profile
        from inferox.package import Store, open_package

        source = self._service.sources[name]
        threads = resolve_threads(self._threads)
        try:
            package = open_package(source.path)
            found = find_profile(package.digest, Store(), threads, DeviceId.of(source.options.get("device")))
            return describe_evidence(package, found.profile)
        except InferoxError:
            return []
