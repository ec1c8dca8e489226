"""The front process: listens before it loads models, and answers what it accepted before it ends."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext, suppress
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from inferox.core import ConfigError
from inferox.engine import Engine, EngineConfig
from inferox.machine.garbage import exempt_objects
from inferox.server.admin_app import AdminApp
from inferox.server.app import App
from inferox.server.config import ModelSource, ServerConfig, is_loopback
from inferox.server.listening import listen
from inferox.server.model_control import ModelControl
from inferox.server.model_repository import ModelRepository
from inferox.server.request_log import open_log
from inferox.server.request_observer import RequestObserver
from inferox.server.service import Service
from inferox.server.span_queue import SpanQueue

if TYPE_CHECKING:
    from inferox.server.grpc_server import GrpcServer
    from inferox.server.http_server import HttpServer


def serve(config: ServerConfig, repository: ModelRepository, announce: Callable[[str], None]) -> None:
    """Serves models until a signal ends it.

    Args:
        config: The settings.
        repository: The packages.
        announce: Called with one-line messages for the person at the terminal.

    Raises:
        ConfigError: If it cannot listen there, or a required library is not installed.
        InferoxError: If a package cannot be loaded.
    """
    try:
        import uvloop

        from inferox.server.http_server import HttpServer, check_certificate
    except ImportError as error:
        raise _lacking(error.name) from error
    if find_spec("prometheus_client") is None:  # imported when /metrics is first requested
        raise _lacking("prometheus_client")
    check_certificate(config)
    with ExitStack() as closing:
        spans = None if config.otlp_endpoint is None else _open_spans(config.otlp_endpoint, config.trace_share, closing)
        listener = closing.enter_context(listen(config.host, config.port))
        admin_listener = None
        if config.admin_port is not None:
            admin_listener = closing.enter_context(listen(config.admin_host, config.admin_port, option="--admin-port"))
        sources = [*repository.named, *repository.list_folder()]
        settings = EngineConfig(
            isolation="process",
            workers=config.workers,
            threads=config.threads,
            memory_limit_bytes=config.memory_limit_bytes,
            cache_bytes=config.cache_bytes,
            refuse_non_finite=True,
        )
        with (
            Engine(settings) as engine,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            service = Service(engine, timeout_s=config.timeout_s)
            observer = RequestObserver(open_log(config, closing), spans)
            app = App(service, config, observer)
            listening = [(HttpServer(app, config, app.refuse_early, app.intake.count_unread), listener)]
            if admin_listener is not None:
                control = ModelControl(service, repository, announce)
                listening.append((HttpServer(AdminApp(service, control, config, observer), config), admin_listener))
            make_grpc = None if config.grpc_port is None else _grpc_maker(app, service, config, config.grpc_port)
            front = _Front(listening, engine, service, config, make_grpc=make_grpc, announce=announce)
            runner.run(front.run(sources))


def _lacking(library: str | None) -> ConfigError:
    return ConfigError(f"serving needs {library}", hint="pip install 'inferox[serve]'")


def _open_spans(endpoint: str, share: float, closing: ExitStack) -> SpanQueue:
    try:
        from inferox.server.otlp import OtlpSender
    except ImportError as error:
        raise ConfigError(f"--otlp-endpoint needs {error.name}", hint="pip install 'inferox[serve,otel]'") from error
    spans = SpanQueue(OtlpSender(endpoint), share=share)
    closing.callback(spans.close)
    return spans


def _grpc_maker(app: App, service: Service, config: ServerConfig, port: int) -> Callable[[], GrpcServer]:
    """Returns a factory of the gRPC server, to be called in a running event loop."""
    try:
        from inferox.server.grpc_server import GrpcServer
    except ImportError as error:
        raise ConfigError(f"--grpc-port needs {error.name}", hint="pip install 'inferox[serve,grpc]'") from error
    return partial(GrpcServer, app, service, config, port=port)


class _Front:
    """Runs the server from the first connection to the last.

    Args:
        listening: The HTTP servers with their sockets; the admin listener is second.
        engine: The engine; it is closed at the end.
        service: Answers the requests.
        config: The settings.
        make_grpc: Makes the gRPC server; ``None`` for no gRPC.
        announce: Called with messages for the person at the terminal.
    """

    def __init__(
        self,
        listening: Sequence[tuple[HttpServer, socket.socket]],
        engine: Engine,
        service: Service,
        config: ServerConfig,
        *,
        make_grpc: Callable[[], GrpcServer] | None,
        announce: Callable[[str], None],
    ) -> None:
        self._listening = listening
        self._make_grpc = make_grpc
        self._grpc: GrpcServer | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._engine = engine
        self._service = service
        self._config = config
        self._announce = announce
        self._stopping, self._hurrying = asyncio.Event(), asyncio.Event()
        self._trying: asyncio.Future[None] | None = None

    async def run(self, sources: Sequence[ModelSource]) -> None:
        """Serves until a signal arrives, or something fails.

        Args:
            sources: The packages.

        Raises:
            InferoxError: See ``serve``.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, partial(self._note_signal, number))
        scheme = "http" if self._config.tls_cert is None else "https"
        (shown, port), *others = [_place_of(listener) for _, listener in self._listening]
        places = [f"{scheme}://{shown}:{port}"]
        if self._make_grpc is not None:
            self._grpc = self._make_grpc()
            places.append(f"grpc://{shown}:{self._grpc.port}")
        places += [f"{scheme}://{host}:{port} for admins" for host, port in others]
        self._announce(f"listening on {', '.join(places)}, loading the models")
        if not (self._config.api_keys or is_loopback(shown.strip("[]"))):
            self._announce("there are no API keys: anyone who can reach this address may use it")
        serving = [loop.create_task(http.serve(sockets=[listener])) for http, listener in self._listening]
        if self._grpc is not None:
            await self._grpc.start()
        loading = loop.run_in_executor(None, self._service.load, sources)
        loading.add_done_callback(self._note_loaded)
        for task in serving:
            task.add_done_callback(lambda _: self._stopping.set())
        await self._stopping.wait()
        self._service.is_draining = True
        is_loaded = loading.done()
        if is_loaded and loading.exception() is None:
            await self._drain()
        for http, _ in self._listening:
            http.should_exit = True
        self._stop_grpc(self._config.timeout_s)
        await asyncio.gather(*serving, *self._ending)
        await loop.run_in_executor(None, self._engine.close)  # which also ends a load in progress
        if self._trying is not None:
            await self._trying
        with nullcontext() if is_loaded else suppress(Exception):
            await loading

    async def _drain(self) -> None:
        """Accepts new connections for a while: load balancers learn only slowly that the server is shutting down."""
        self._announce("shutting down")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurrying.wait(), self._config.drain_delay_s)

    def _stop_grpc(self, grace_s: float) -> None:
        if self._grpc is not None:
            self._ending.add(asyncio.get_running_loop().create_task(self._grpc.stop(grace_s)))

    def _note_loaded(self, loading: asyncio.Future[None]) -> None:
        if loading.cancelled() or loading.exception() is not None:
            self._stopping.set()
        else:
            exempt_objects()
            self._announce(f"ready: {', '.join(info.name for info in self._service.models())}")
            self._trying = asyncio.get_running_loop().run_in_executor(None, self._service.begin_trials)

    def _note_signal(self, number: int) -> None:
        """Ends the server; a second signal does not wait for unanswered requests."""
        if self._stopping.is_set():
            for http, _ in self._listening:
                http.should_exit = http.force_exit = True
            self._stop_grpc(0)
        if self._stopping.is_set() or number == signal.SIGINT:
            self._hurrying.set()
        self._stopping.set()


def _place_of(listener: socket.socket) -> tuple[str, int]:
    """Returns the address, as written in URLs, and the port of a socket."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]" if ":" in host else host, port
