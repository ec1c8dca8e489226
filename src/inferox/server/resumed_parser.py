"""Parsing on where a client offers another protocol, at which httptools stops."""

from __future__ import annotations

from collections.abc import Iterable

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
"""The headers that say how long a body is."""


class _WithoutFirstHead:
    """Passes events on, except those of the first head, which have been reported already.

    Args:
        events: Takes the events.
    """

    def __init__(self, events: HttpToolsProtocol) -> None:
        self._events = events
        self._heads = 0
        self.on_body = events.on_body
        self.on_message_complete = events.on_message_complete

    def on_message_begin(self) -> None:
        self._heads += 1
        if self._heads > 1:
            self._events.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._heads > 1:
            self._events.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._heads > 1:
            self._events.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._heads > 1:
            self._events.on_headers_complete()


def resume_after_head(
    events: HttpToolsProtocol, headers: Iterable[tuple[bytes, bytes]]
) -> tuple[httptools.HttpRequestParser, bytes]:
    """Makes a parser that continues with the body of a request whose head offers another protocol.

    httptools takes no body after such a head, as if the offer were accepted. Java's HTTP client makes one (``h2c``) in
    every request without TLS.

    Args:
        events: Takes the events of the body, and those of all later requests.
        headers: The headers of the request, with names in lower case.

    Returns:
        The parser; and what it must be fed before the body.
    """
    parser = httptools.HttpRequestParser(_WithoutFirstHead(events))
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
    framing = b"".join(b"%b: %b\r\n" % header for header in headers if header[0] in _FRAMING)
    return parser, b"POST / HTTP/1.1\r\n" + framing + b"\r\n"
