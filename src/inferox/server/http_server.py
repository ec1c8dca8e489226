"""HTTP by uvicorn, without what this server does by itself."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from uvicorn import Config, Server

from inferox.server.connection import Connection
from inferox.server.http_request import Receive, Scope, Send

_KEEP_ALIVE_S = 75
"""How long an idle connection is kept: longer than proxies keep theirs, or they would send into one that is closed."""

_GRACE_S = 5.0
"""How much longer than a request may take the last answers may take."""

_LAST_S = 0.2
"""How long a connection that was just taken has to send its request, before those without one are closed."""


class HttpServer(Server):
    """Speaks HTTP. It heeds no signals: who runs it does.

    Args:
        app: Answers requests, as ASGI has it.
        timeout_s: How long a request may take.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], *, timeout_s: float) -> None:
        config = Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",  # its warnings are about what strangers send, who could fill the log
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(timeout_s + _GRACE_S),
        )
        super().__init__(config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none; uvicorn would end the process with the signal in place of 0."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops listening, and closes each connection once its request is answered.

        Args:
            sockets: Where it listens.
        """
        for server in self.servers:
            server.close()
        await asyncio.sleep(_LAST_S)
        await super().shutdown(sockets)
