"""The process in front of the workers: it listens before it loads, and answers what it took before it ends."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING

from inferox.core import ConfigError
from inferox.engine import Engine, EngineConfig
from inferox.server.app import App
from inferox.server.config import ModelSource, ServerConfig
from inferox.server.service import Service

if TYPE_CHECKING:
    from inferox.server.http_server import HttpServer

_BACKLOG = 2048


def serve(config: ServerConfig, sources: Sequence[ModelSource], announce: Callable[[str], None]) -> None:
    """Serves models until a signal ends it.

    Args:
        config: The settings.
        sources: The packages.
        announce: Told in one line what a person at the terminal should know.

    Raises:
        ConfigError: If it cannot listen there, or what it needs is not installed.
        InferoxError: If a package cannot be loaded.
    """
    try:
        import uvloop

        from inferox.server.http_server import HttpServer, check_certificate
    except ImportError as error:
        raise ConfigError(f"serving needs {error.name}", hint="pip install 'inferox[serve]'") from error
    check_certificate(config)
    with listen(config.host, config.port) as listener:
        settings = EngineConfig(
            isolation="process", workers=config.workers, threads=config.threads, refuse_non_finite=True
        )
        with Engine(settings) as engine, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            service = Service(engine, timeout_s=config.timeout_s)
            http = HttpServer(App(service, config), config)
            runner.run(_Front(http, engine, service, config, announce).run(listener, sources))


def listen(host: str, port: int) -> socket.socket:
    """Listens on a port, so that nobody else can.

    Args:
        host: The address.
        port: The port; 0 for one that is free.

    Raises:
        ConfigError: If that cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        is_taken = error.errno == errno.EADDRINUSE
        reason = "it is in use" if is_taken else (error.strerror or str(error)).partition(" (while")[0]
        raise ConfigError(
            f"cannot listen on port {port} of {host}: {reason}",
            hint="choose another with --port, or 0 for any that is free" if is_taken else "see --host and --port",
        ) from error


class _Front:
    """Runs the server from the first connection to the last.

    Args:
        http: Speaks HTTP.
        engine: What computes; it is closed at the end.
        service: What answers.
        config: The settings.
        announce: Told what a person should know.
    """

    def __init__(
        self, http: HttpServer, engine: Engine, service: Service, config: ServerConfig, announce: Callable[[str], None]
    ) -> None:
        self._http = http
        self._engine = engine
        self._service = service
        self._config = config
        self._announce = announce
        self._stopping, self._hurrying = asyncio.Event(), asyncio.Event()

    async def run(self, listener: socket.socket, sources: Sequence[ModelSource]) -> None:
        """Serves until a signal comes, or something fails.

        Args:
            listener: Where it listens.
            sources: The packages.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, partial(self._note_signal, number))
        host, port = listener.getsockname()[:2]
        scheme = "http" if self._config.tls_cert is None else "https"
        self._announce(f"listening on {scheme}://{f'[{host}]' if ':' in host else host}:{port}, loading the models")
        if not (self._config.api_keys or ipaddress.ip_address(host).is_loopback):
            self._announce("there are no API keys: whoever reaches this address may use it")
        serving = loop.create_task(self._http.serve(sockets=[listener]))
        loading = loop.run_in_executor(None, self._service.load, sources)
        loading.add_done_callback(self._note_loaded)
        serving.add_done_callback(lambda _: self._stopping.set())
        await self._stopping.wait()
        self._service.is_draining = True
        is_loaded = loading.done()
        if is_loaded and loading.exception() is None:
            await self._drain()
        self._http.should_exit = True
        await serving
        await loop.run_in_executor(None, self._engine.close)  # which ends what is still being loaded
        with nullcontext() if is_loaded else suppress(Exception):
            await loading

    async def _drain(self) -> None:
        """Takes new connections for a while: whoever sends them learns only slowly that they are not wanted."""
        self._announce("shutting down")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurrying.wait(), self._config.drain_delay_s)

    def _note_loaded(self, loading: asyncio.Future[None]) -> None:
        if loading.cancelled() or loading.exception() is not None:
            self._stopping.set()
        else:
            self._announce(f"ready: {', '.join(info.name for info in self._service.models())}")

    def _note_signal(self, number: int) -> None:
        """Ends the server; a second signal does not wait for those who are still to be answered."""
        if self._stopping.is_set():
            self._http.should_exit = self._http.force_exit = True
        if self._stopping.is_set() or number == signal.SIGINT:
            self._hurrying.set()
        self._stopping.set()
