"""An HTTP connection and its limits: the size and duration of headers, and the time a response may wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

import httptools
from msgspec import json
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from inferox.server.http_request import Scope
from inferox.server.http_response import HttpResponse
from inferox.server.resumed_parser import resume_after_head

EarlyRefusal = Callable[[Scope], HttpResponse | None]
"""Refuses a request by its headers, before it costs a task; ``None`` if the application is to answer it."""

_HEADERS_S = 10.0
"""The time the headers of a request may take, from their first byte."""

_MOST_HEADERS = 100
_MOST_HEAD_BYTES = 32 * 1024
"""The number of headers of a request, and their total size including the URL."""

_REST_S = 10.0
"""The time the rest of a body may take when it is no longer read, because its request is already answered."""

_FLUSH_EVERY_S = 20.0
_FLUSH_BYTES = 64 * 1024
"""The interval at which the client's progress in reading a response is checked, and the least progress per interval."""


class _HeadError(Exception):
    """Headers that are refused; the parser reraises it as an error of its own."""


class Connection(HttpToolsProtocol):
    """A uvicorn connection that leaks nothing, whatever its client does or leaves undone.

    uvicorn waits forever for headers, and for clients that do not read their responses, leaks the timer of a connection
    that was reset, loses the body of a request that offers another protocol, takes trailers for headers, and answers a
    fault in place of the requests that were sent before it.

    Args:
        *arguments: See uvicorn.
        refuse_early: Refuses requests for which there is no room. Their bodies are discarded as they arrive.
        count_unread: Called with the change in the number of bytes that wait for the client to read them, if they are
            more than a transport's buffer is meant to have.
        **options: See uvicorn.
    """

    def __init__(
        self, *arguments: Any, refuse_early: EarlyRefusal, count_unread: Callable[[int], None], **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._refuse_early = refuse_early
        self._count_unread = count_unread
        self._unread_bytes = 0
        self._header_timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None
        self._flush_timer: asyncio.TimerHandle | None = None
        self._is_in_head = False
        self._headers_left = 0
        self._bytes_left = 0
        self._refusal: tuple[HTTPStatus, str] | None = None
        self._last_refusal: tuple[HTTPStatus, str] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the connection: without a request, it is kept as long as one between two requests."""
        super().connection_made(transport)
        self._keep_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the connection, and leaves no timer behind.

        Args:
            exc: The reason; ``None`` for an orderly end.
        """
        self._unset_keepalive_if_required()
        for timer in (self._header_timer, self._rest_timer, self._flush_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        self._note_unread(0)

    def resume_writing(self) -> None:
        """Goes on writing: the client has read nearly everything."""
        super().resume_writing()
        self._note_unread(0)

    def data_received(self, data: bytes) -> None:
        """Parses data; stray line breaks between requests do not keep the connection alive.

        Args:
            data: The bytes received.
        """
        if self._last_refusal is not None:  # nothing after it can be told apart
            return
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        if self._is_in_head and self._header_timer is None:  # most heads arrive whole, and need no timer
            self._header_timer = self.loop.call_later(_HEADERS_S, self._give_up_headers)
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if not is_answering and self._header_timer is None and self.timeout_keep_alive_task is None:
            self._keep_idle()

    def on_message_begin(self) -> None:
        """Starts reading headers."""
        super().on_message_begin()
        self._headers_left, self._bytes_left = _MOST_HEADERS, _MOST_HEAD_BYTES
        self._is_in_head = True

    def on_url(self, url: bytes) -> None:
        """Takes a part of the URL.

        Args:
            url: The part.

        Raises:
            _HeadError: If the URL is too long.
        """
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a header, or ignores a trailer: proxies in front check headers, and may let trailers pass.

        Args:
            name: The name.
            value: The value.

        Raises:
            _HeadError: If there are too many headers, or they are too long.
        """
        self._headers_left -= 1
        if self._headers_left < 0:
            self._refuse(f"a request may have {_MOST_HEADERS} headers, but this one has more")
        self._count(len(name) + len(value))
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Starts answering the request."""
        self._is_in_head = False
        if self.parser.get_http_version() == "1.0":  # its clients would take 100 Continue for the answer
            self.expect_100_continue = False
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Ends the request: its body is complete."""
        if self.parser.should_upgrade():  # the body is yet to come
            return
        super().on_message_complete()
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None

    def on_response_complete(self) -> None:
        """Goes on to the next request, and makes sure that the client sends the rest of this one, and reads."""
        is_last = not self.pipeline
        super().on_response_complete()
        if is_last and self._last_refusal is not None:
            self._write_refusal(*self._last_refusal)
        if self.cycle.response_complete and self.cycle.more_body and not self.transport.is_closing():
            self._rest_timer = self.loop.call_later(_REST_S, self.transport.close)
        if self._flush_timer is None and self.transport.get_write_buffer_size():
            self._watch_flush()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Runs the application on a request, unless there is no room for it."""
        # The application itself answers on a connection that has to be closed or waited for.
        is_plain = cycle.keep_alive and not (cycle.waiting_for_100_continue or self.pipeline or self.flow.write_paused)
        response = self._refuse_early(cycle.scope) if is_plain else None
        if response is None:
            self._unset_keepalive_if_required()  # set by the refusal just before this request
            super()._start_asgi_task(cycle, app)
            return
        headers = [*self.server_state.default_headers, *response.encode_headers()]
        self.transport.write(_write_head(HTTPStatus(response.status), headers) + response.body)
        cycle.response_started = cycle.response_complete = True
        self.on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuses a request that is not HTTP or has unacceptable headers, and closes the connection.

        Args:
            msg: The fault, if no better description is known.
        """
        self._send_refusal(*(self._refusal or (HTTPStatus.BAD_REQUEST, msg)))

    def _parse(self, data: bytes) -> None:
        """Parses data. Where a request offers another protocol, the offer is ignored, as HTTP allows."""
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                self.parser, head = resume_after_head(self, self.headers)
                data = head + data[offer.args[0] :]
            else:
                return

    def _count(self, size_bytes: int) -> None:
        self._bytes_left -= size_bytes
        if self._bytes_left < 0:
            self._refuse(f"the address and the headers of a request may take {_MOST_HEAD_BYTES:,} bytes, but take more")

    def _refuse(self, message: str) -> None:
        self._refusal = (HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message)
        raise _HeadError(message)

    def _give_up_headers(self) -> None:
        self._header_timer = None
        self._send_refusal(HTTPStatus.REQUEST_TIMEOUT, f"the headers did not arrive within {_HEADERS_S:g} s")

    def _send_refusal(self, status: HTTPStatus, message: str) -> None:
        """Refuses the request that is being read, once those before it are answered."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or (cycle.more_body and not self.pipeline):
            self._write_refusal(status, message)
            return
        if cycle.more_body:  # the fault is in its body
            self.pipeline.popleft()
        self._last_refusal = self._last_refusal or (status, message)
        self.flow.resume_reading()  # closing a connection that has data to be read would lose its last response

    def _write_refusal(self, status: HTTPStatus, message: str) -> None:
        """Sends the reason and closes the connection; a request without a route has no protocol to answer it."""
        if self.transport.is_closing():
            return
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": "invalid_http"}
        body = json.encode({"error": error})
        response = HttpResponse(body, status, headers={"connection": "close"})
        self.transport.write(_write_head(status, response.encode_headers()) + body)
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self._watch_flush()

    def _keep_idle(self) -> None:
        if not self.transport.is_closing():
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _watch_flush(self) -> None:
        left_bytes = self.transport.get_write_buffer_size()
        if self.flow.write_paused:
            self._note_unread(left_bytes)
        self._flush_timer = self.loop.call_later(_FLUSH_EVERY_S, self._check_flush, left_bytes) if left_bytes else None

    def _note_unread(self, size_bytes: int) -> None:
        if size_bytes != self._unread_bytes:
            self._count_unread(size_bytes - self._unread_bytes)
            self._unread_bytes = size_bytes

    def _check_flush(self, left_before_bytes: int) -> None:
        left_bytes = self.transport.get_write_buffer_size()
        if left_bytes and left_before_bytes - left_bytes < min(_FLUSH_BYTES, left_before_bytes):
            self.transport.abort()
        else:
            self._watch_flush()


def _write_head(status: HTTPStatus, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, status.phrase.encode(), lines)
