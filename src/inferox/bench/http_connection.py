"""Connections of HTTP/1.1 that cost as little as Python can: whoever measures a server shares the machine with it."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import cast

import httptools

MOST_CONNECTIONS = 512
"""How many connections there are at a time. Requests at a rate wait for one where all are in use, and that counts."""


@dataclass
class HttpAnswer:
    """An answer.

    Attributes:
        status: Its status.
        headers: Its headers, by names in lower case.
        body: Its body.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


class _Connection(asyncio.Protocol):
    """A connection that sends one request at a time. httptools calls the methods whose names begin with ``on_``."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answering: asyncio.Future[HttpAnswer] | None = None
        self._answer = HttpAnswer()
        self._parser = httptools.HttpResponseParser(self)
        self.is_open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not of asyncio's class

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"the answer is not HTTP: {error}"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._fail(ConnectionError(f"the connection broke: {exc or 'the server closed it'}"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._answer.body += body

    def on_message_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()
        if not self._parser.should_keep_alive():
            self.close()
        if self._answering is not None and not self._answering.done():
            self._answering.set_result(self._answer)

    async def ask(self, request: bytes) -> HttpAnswer:
        """Sends a request and waits for its answer."""
        assert self._transport is not None  # noqa: S101 - it was made before
        self._answer = HttpAnswer()
        self._answering = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answering

    def close(self) -> None:
        """Closes it at once."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, error: ConnectionError) -> None:
        if self._answering is not None and not self._answering.done():
            self._answering.set_exception(error)


class Connections:
    """Connections to one server, each of which is used again. One event loop uses them.

    Args:
        host: The server.
        port: Its port.
        tls: How certificates are checked; ``None`` for HTTP without TLS.
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._idle: list[_Connection] = []
        self._slots = asyncio.Semaphore(MOST_CONNECTIONS)

    async def ask(self, request: bytes) -> HttpAnswer:
        """Sends a request by a connection that is free, or a new one.

        Args:
            request: The bytes of it, its head included.

        Raises:
            OSError: If no connection can be made, or it breaks.
        """
        async with self._slots:
            connection = await self._take()
            try:
                answer = await connection.ask(request)
            except BaseException:
                connection.close()  # an answer that comes later must not be taken for another's
                raise
            if connection.is_open:
                self._idle.append(connection)
            return answer

    def close(self) -> None:
        """Closes those that are free."""
        for connection in self._idle:
            connection.close()

    async def _take(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(_Connection, self._host, self._port, ssl=self._tls)
        return made
