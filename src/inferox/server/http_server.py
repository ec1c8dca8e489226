"""The HTTP server: uvicorn, without the parts that this server replaces."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from uvicorn import Config, Server

from inferox.core import ConfigError
from inferox.server.config import ServerConfig
from inferox.server.connection import Connection, EarlyRefusal
from inferox.server.http_request import Receive, Scope, Send

_GRACE_S = 5.0
"""The time that the last responses may take beyond the timeout of a request."""

_LAST_S = 0.2
"""The time a connection just accepted has to send its request, before connections without one are closed."""


class HttpServer(Server):
    """An HTTP server. It ignores signals, which its caller handles.

    Args:
        app: The ASGI application.
        config: The settings.
        refuse_early: See ``Connection``.
        count_unread: See ``Connection``.
    """

    def __init__(
        self,
        app: Callable[[Scope, Receive, Send], Awaitable[None]],
        config: ServerConfig,
        refuse_early: EarlyRefusal = lambda _: None,
        count_unread: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._connect = partial(Connection, refuse_early=refuse_early, count_unread=count_unread)
        settings = Config(
            app,
            http=self._connect,  # type: ignore[arg-type]  # it is only called
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",  # its warnings are about invalid requests, with which anyone could fill the log
            access_log=False,
            proxy_headers=False,
            server_header=False,
            ssl_certfile=config.tls_cert,
            ssl_keyfile=config.tls_key,
            timeout_keep_alive=config.keep_alive_s,  # type: ignore[arg-type]  # a timer takes any number
            timeout_graceful_shutdown=int(config.timeout_s + _GRACE_S),
        )
        super().__init__(settings)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures no signals; uvicorn would end the process with the signal instead of exit code 0."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops listening, and closes each connection once its request is answered.

        Args:
            sockets: The listening sockets.
        """
        taken: list[socket.socket] = []
        for server, listener in zip(self.servers, sockets or [], strict=True):
            # When a listener is closed, the system resets connections that were not accepted yet.
            taken += _take_all(listener)
            server.close()
        for connection in taken:
            with suppress(OSError):  # its client has gone already
                await self._take(connection)
        await asyncio.sleep(_LAST_S)
        await super().shutdown(sockets)

    async def _take(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(
            lambda: self._connect(self.config, self.server_state, self.lifespan.state), connection, ssl=self.config.ssl
        )


def _take_all(listener: socket.socket) -> Iterator[socket.socket]:
    """Accepts the pending connections."""
    with suppress(OSError):  # none is left
        while True:
            yield listener.accept()[0]


def check_certificate(config: ServerConfig) -> None:
    """Checks the certificate before anything loads, and without a prompt for the password of its key.

    Args:
        config: The settings.

    Raises:
        ConfigError: If the certificate or its key cannot be used.
    """
    if config.tls_cert is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(config.tls_cert, config.tls_key, password=lambda: b"")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the certificate {config.tls_cert} with the key {config.tls_key} cannot be used: {error}",
            hint="both must be PEM files, and the key must not have a password",
        ) from error
