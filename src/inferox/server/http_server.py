"""HTTP by uvicorn, without what this server does by itself."""

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
"""How much longer than a request may take the last answers may take."""

_LAST_S = 0.2
"""How long a connection that was just taken has to send its request, before those without one are closed."""


class HttpServer(Server):
    """Speaks HTTP. It heeds no signals: who runs it does.

    Args:
        app: Answers requests, as ASGI has it.
        config: The settings.
        refuse_early: See ``Connection``.
    """

    def __init__(
        self,
        app: Callable[[Scope, Receive, Send], Awaitable[None]],
        config: ServerConfig,
        refuse_early: EarlyRefusal = lambda _: None,
    ) -> None:
        self._connect = partial(Connection, refuse_early=refuse_early)
        settings = Config(
            app,
            http=self._connect,  # type: ignore[arg-type]  # it is called alone
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",  # its warnings are about what strangers send, who could fill the log
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
        """Captures none; uvicorn would end the process with the signal in place of 0."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops listening, and closes each connection once its request is answered.

        Args:
            sockets: Where it listens.
        """
        taken: list[socket.socket] = []
        for server, listener in zip(self.servers, sockets or [], strict=True):
            # The system resets what it has connected, and nobody has taken, when nobody listens any more.
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
    """The connections that wait to be taken."""
    with suppress(OSError):  # there is none
        while True:
            yield listener.accept()[0]


def check_certificate(config: ServerConfig) -> None:
    """Refuses a certificate that cannot be used, before anything loads, and asks nobody for the password of its key.

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
            hint="both are PEM files, and the key has no password",
        ) from error
