"""gRPC by grpcio, in the event loop of the front."""

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
"""How old a connection may become before its client is asked for a new one, which may lead to another server."""

_LEAST_PING_MS = 10_000
"""How often clients may ask whether the connection is alive, without it being closed."""

_MORE_CALLS = 64
"""How many calls there may be at a time beside the requests that may be unanswered: those that compute nothing."""


_ON_THEIR_WAY_S, _TOLD_S = 0.1, 0.02
"""How long calls that were sent already may take to come before no more are taken, and how long gRPC takes to tell
those who are connected that no more are."""


class GrpcServer:
    """Speaks gRPC. It is made where an event loop runs, and listens from then on.

    Args:
        app: What answers over HTTP, with which it shares what is counted, and the API keys.
        service: What answers, whatever the protocol.
        config: The settings.
        port: The port; 0 for one that is free.

    Attributes:
        port: Where it listens.

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
        self._calls = GrpcService(service, app.inference, app.intake, app.keys, app.observer)
        self._server.add_generic_rpc_handlers((self._calls.handler(), GrpcHealth(service).handler()))
        self.port = self._listen(config, port)

    async def start(self) -> None:
        """Takes calls."""
        await self._server.start()

    async def stop(self, grace_s: float) -> None:
        """Takes no more calls, and answers those that there are.

        gRPC cancels the calls that come after that, and its clients, which keep their connections, send the next call
        as soon as they have an answer. So for a moment there are no answers: what was sent before comes in, and then
        everybody hears that this connection takes no more before they hear their answer.

        Args:
            grace_s: How long they may take; 0 ends them at once.
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
        # Says why it cannot, which gRPC does not.
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
