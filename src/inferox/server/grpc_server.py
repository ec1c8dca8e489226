"""The gRPC server, on grpcio, in the event loop of the front process."""

from __future__ import annotations

import asyncio

import grpc
from grpc import aio

from inferox.core import ConfigError
from inferox.server.app import App
from inferox.server.config import ServerConfig
from inferox.server.listening import listen
from inferox.server.oip.grpc_health import GrpcHealth
from inferox.server.oip.grpc_service import GrpcService
from inferox.server.service import Service

_AGE_MS = 600_000
"""The age at which a client is asked to reconnect, which may lead it to another server."""

_LEAST_PING_MS = 10_000
"""The shortest interval at which clients may send keepalive pings without being disconnected."""

_MORE_CALLS = 64
"""The number of calls allowed on top of the request limit: calls that compute nothing."""


_ON_THEIR_WAY_S, _TOLD_S = 0.1, 0.02
"""The time for which calls already sent may still arrive before the server stops accepting, and the time that gRPC
takes to tell connected clients that it has stopped."""


class GrpcServer:
    """A gRPC server. Made in a running event loop, it listens from then on.

    Args:
        app: The HTTP application, with which it shares limits, counters and API keys.
        service: Answers the requests, whatever the protocol.
        config: The settings.
        port: The port; 0 for a free one.

    Attributes:
        port: The port it listens on.

    Raises:
        ConfigError: If it cannot listen there.
    """

    def __init__(self, app: App, service: Service, config: ServerConfig, *, port: int) -> None:
        self._server = aio.server(
            options=(
                ("grpc.so_reuseport", 0),  # or a second server would take half of the calls
                ("grpc.max_receive_message_length", config.body_limit_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_connection_age_ms", _AGE_MS),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", _LEAST_PING_MS),
                ("grpc.keepalive_permit_without_calls", 1),
            ),
            maximum_concurrent_rpcs=config.request_limit + _MORE_CALLS,
        )
        self._calls = GrpcService(service, app.inference, app.intake, app.keys, early=app.early, observer=app.observer)
        self._server.add_generic_rpc_handlers((self._calls.handler(), GrpcHealth(service).handler()))
        self.port = self._listen(config, port)

    async def start(self) -> None:
        """Starts to accept calls."""
        await self._server.start()

    async def stop(self, grace_s: float) -> None:
        """Stops accepting calls, and answers those in progress.

        gRPC cancels the calls that arrive after that, and its clients, which keep their connections, send the next
        call as soon as they have an answer. So for a moment no answers are sent: calls already sent arrive, and then
        every client learns that this connection takes no more calls before it gets its answer.

        Args:
            grace_s: The time the calls may take, in seconds; 0 ends them at once.
        """
        if grace_s:
            self._calls.may_answer.clear()
            await asyncio.sleep(_ON_THEIR_WAY_S)
        stopping = asyncio.create_task(self._server.stop(grace_s))
        await asyncio.sleep(_TOLD_S)
        self._calls.may_answer.set()
        await stopping

    def _listen(self, config: ServerConfig, port: int) -> int:
        host = config.host
        # Raises an error that says why the port cannot be used, which gRPC's does not.
        listen(host, port, option="--grpc-port").close()
        shown = f"[{host}]" if ":" in host else host
        try:
            if config.tls_cert is None or config.tls_key is None:
                return int(self._server.add_insecure_port(f"{shown}:{port}"))
            pair = (config.tls_key.read_bytes(), config.tls_cert.read_bytes())
            return int(self._server.add_secure_port(f"{shown}:{port}", grpc.ssl_server_credentials([pair])))
        except RuntimeError as error:
            raise ConfigError(
                f"cannot listen on port {port} of {host}", hint="choose another with --grpc-port"
            ) from error
