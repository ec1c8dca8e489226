"""An HTTP request, received through ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from inferox.core import counted
from inferox.server.api_keys import read_presented_key
from inferox.server.config import ServerConfig
from inferox.server.content_coding import CODINGS, IDENTITY, decompress
from inferox.server.http_error import ClientGoneError, HttpError
from inferox.server.intake import Held, Intake
from inferox.server.request_record import RequestRecord, choose_request_id
from inferox.server.trace_context import HEADER, STATE_HEADER, TraceContext, read_trace_context

if TYPE_CHECKING:
    from inferox.server.protocol import ErrorWriter

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Result = TypeVar("Result")

_BINARY_TYPES = frozenset({b"", b"application/json", b"application/octet-stream"})
"""Content types of bodies that need not be JSON. Browsers send none of them to another site without a preflight."""

_REST_S, _REST_TIMES = 5.0, 4
"""The time for which a body that is too large is still read, and its size in multiples of the limit, so that the
client gets to see the error."""


class HttpRequest:
    """An HTTP request.

    Args:
        scope: The ASGI connection scope.
        receive: Awaits the body, and reports that the client has disconnected.
        intake: Limits the requests and bytes in progress.
        config: The settings: the size and the duration of a body.

    Attributes:
        method: The method.
        path: The decoded path.
        id: The id of the request in responses and logs: the client's own, if that is harmless.
        record: The record of the request.
        write_error: Writes errors of the request; ``None`` for the default protocol. A handler may replace it, if only
            the body says which of several protocols the request is of.
    """

    def __init__(self, scope: Scope, receive: Receive, intake: Intake, config: ServerConfig) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self._all_headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        self._headers: dict[bytes, bytes] = dict(self._all_headers)
        self.write_error: ErrorWriter | None = None
        self._receive = receive
        self._intake = intake
        self._limit_bytes, self._timeout_s = config.body_limit_bytes, config.body_timeout_s
        self.id = choose_request_id(self._headers.get(b"x-request-id", b"").decode("latin-1"))
        trace = _read_trace(self._all_headers) if HEADER.encode() in self._headers else None
        self.record = RequestRecord(self.id, "http", self.method, self.path, trace=trace)

    def header(self, name: str) -> str | None:
        """Returns a header; ``None`` if there is none of that name.

        Several headers of one name are joined with commas, as in HTTP, so that the last does not hide the others.

        Args:
            name: The name, in lower case.
        """
        key = name.encode("ascii")
        if key not in self._headers:
            return None
        return b", ".join(value for other, value in self._all_headers if other == key).decode("latin-1")

    @property
    def api_key(self) -> bytes | None:
        """The API key of the request, in whichever header the client sent it; ``None`` if it sent none."""
        return read_presented_key(self._headers)

    @property
    def expected_bytes(self) -> int:
        """The size of the body according to the headers; 0 if they do not say."""
        given = self._headers.get(b"content-length", b"")
        return int(given) if given.isdigit() else 0

    async def answer_json(self, answer: Callable[[bytes], Coroutine[Any, Any, Result]]) -> Result:
        """Reads the body, which must be JSON, and answers it, unless the client disconnects first.

        Args:
            answer: Answers the body. It is cancelled if the client disconnects.

        Returns:
            The result of ``answer``.

        Raises:
            HttpError: If the body is of another type, too large, or does not arrive in time.
            OverloadedError: If there is no room for it.
            ClientGoneError: If the client has disconnected.
        """
        kind = self._content_type()
        if kind != b"application/json" and not (kind.startswith(b"application/") and kind.endswith(b"+json")):
            raise _refuse_type(kind, "application/json")
        return await self._answer(answer, frozenset())

    async def answer_binary(self, answer: Callable[[bytes], Coroutine[Any, Any, Result]]) -> Result:
        """Reads the body, which may be JSON or binary, compressed or not; see ``answer_json``.

        Args:
            answer: Answers the decompressed body.

        Returns:
            The result of ``answer``.

        Raises:
            InferoxError: See ``answer_json``.
        """
        kind = self._content_type()
        if kind not in _BINARY_TYPES:
            raise _refuse_type(kind, "application/json or application/octet-stream")
        return await self._answer(answer, CODINGS)

    async def _answer(self, answer: Callable[[bytes], Coroutine[Any, Any, Result]], codings: frozenset[str]) -> Result:
        coding = (self.header("content-encoding") or IDENTITY).strip().lower()
        if coding not in {IDENTITY, *codings}:
            taken = f"uncompressed, or encoded as {' or '.join(sorted(codings))}" if codings else "uncompressed"
            raise HttpError(
                415, "unsupported_media_type", f"a body must be {taken}, but this one is encoded as {coding[:100]!r}"
            )
        expected_bytes = self.expected_bytes
        # A body that is too large is refused as such, which would be so at any time.
        with self._intake.admit(min(expected_bytes, self._limit_bytes)) as held:
            body = await self._read(held, expected_bytes)
            if coding != IDENTITY:
                body = await asyncio.to_thread(decompress, body, coding, self._limit_bytes)
                self._intake.hold(held, len(body) - held.size_bytes)  # which replaces the compressed one
            return await self._unless_gone(answer(body))

    def _content_type(self) -> bytes:
        return self._headers.get(b"content-type", b"").partition(b";")[0].strip().lower()

    async def _read(self, held: Held, expected_bytes: int) -> bytes:
        try:
            async with asyncio.timeout(self._timeout_s):
                if expected_bytes > self._limit_bytes:
                    await self._refuse_large(expected_bytes)
                return await self._read_all(held)
        except TimeoutError:
            raise HttpError(
                408, "body_timeout", f"the body did not arrive within {self._timeout_s:g} s", {"connection": "close"}
            ) from None

    async def _read_all(self, held: Held) -> bytes:
        parts: list[bytes] = []
        while True:
            message = await self._next()
            part = message.get("body", b"")
            self.record.received_bytes += len(part)
            if held.size_bytes + len(part) > self._limit_bytes:
                parts.clear()
                await self._refuse_large(held.size_bytes + len(part))
            self._intake.hold(held, len(part))
            parts.append(part)
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _refuse_large(self, size_bytes: int) -> None:
        """Reads on for a while: closing a connection while its client still sends would lose the response."""
        # A client that asks first has not begun to send, and is not told to.
        asks = not self.record.received_bytes and self._headers.get(b"expect", b"").lower() == b"100-continue"
        left = 0 if asks else _REST_TIMES * self._limit_bytes
        try:
            async with asyncio.timeout(_REST_S):
                while left > 0:
                    message = await self._next()
                    left -= len(message.get("body", b""))
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            pass
        raise HttpError(
            413,
            "body_too_large",
            f"a body may have {counted(self._limit_bytes, 'byte')}, but this one has {size_bytes:,} or more",
            {"connection": "close"},
        )

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        return message

    async def _unless_gone(self, work: Coroutine[Any, Any, Result]) -> Result:
        answering, leaving = asyncio.ensure_future(work), asyncio.ensure_future(self._wait_until_gone())
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                raise ClientGoneError
            return answering.result()
        finally:
            leaving.cancel()
            answering.cancel()
            del answering  # a failed task has the error, whose traceback has this frame: a cycle of garbage

    async def _wait_until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


def _read_trace(headers: Iterable[tuple[bytes, bytes]]) -> TraceContext | None:
    named = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    if sum(name == HEADER for name, _ in named) > 1:
        return None  # there is no telling which of them is meant
    # Clients may split a long state over several headers.
    state = ",".join(value for name, value in named if name == STATE_HEADER)
    return read_trace_context({**dict(named), STATE_HEADER: state})


def _refuse_type(kind: bytes, expected: str) -> HttpError:
    shown = kind[:100].decode("ascii", "replace") or "none"
    return HttpError(415, "unsupported_media_type", f"the content-type must be {expected}, but is {shown!r}")
