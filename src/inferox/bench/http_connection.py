"""HTTP/1.1 connections with as little overhead as possible in Python: client and server share the machine."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import cast

import httptools

MOST_CONNECTIONS = 512
"""The most connections at a time. When all are in use, requests at a rate wait for one, and the wait counts."""


@dataclass
class HttpAnswer:
    """An HTTP response.

    Attributes:
        status: The status.
        headers: The headers, by lower-case name.
        body: The body.
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
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports do not derive from asyncio's

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
        """Sends a request and waits for the response."""
        assert self._transport is not None  # noqa: S101 - it was made before
        self._answer = HttpAnswer()
        self._answering = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answering

    def close(self) -> None:
        """Closes the connection at once."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, error: ConnectionError) -> None:
        if self._answering is not None and not self._answering.done():
            self._answering.set_exception(error)


class Connections:
    """A pool of connections to one server. To be used from one event loop.

    Args:
        host: The host of the server.
        port: The port.
        tls: The TLS settings; ``None`` for HTTP without TLS.
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._idle: list[_Connection] = []
        self._slots = asyncio.Semaphore(MOST_CONNECTIONS)

    async def ask(self, request: bytes) -> HttpAnswer:
        """Sends a request over an idle connection, or a new one.

        Args:
            request: The bytes of the request, including its head.

        Raises:
            OSError: If the connection cannot be made, or breaks.
        """
        async with self._slots:
            connection = await self._take()
            try:
                answer = await connection.ask(request)
            except BaseException:
                connection.close()  # a late response must not be taken for that of another request
                raise
            if connection.is_open:
                self._idle.append(connection)
            return answer

    def close(self) -> None:
        """Closes the idle connections."""
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
