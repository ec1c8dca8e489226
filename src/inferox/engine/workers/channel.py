"""Messages over a Unix socket: small ones inline, large ones in unnamed files that are passed along."""

from __future__ import annotations

import array
import socket
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from threading import Lock

from inferox.core import counted
from inferox.engine.thread_start import start_thread
from inferox.engine.workers.codec import Frame, MessageDecoder, encode
from inferox.engine.workers.messages import Message
from inferox.engine.workers.unnamed_file import close_quietly, make_file, map_file

INLINE_BYTES = 64 * 1024
"""The size from which a message goes into a file, which both sides share in memory."""

_MOST_INLINE_BYTES = 2**30
"""The largest inline message, which both sides have to copy."""

_HEADER = struct.Struct("<QQB15x")
"""The sizes of the body and the message, and whether it is in a file. The header's size keeps arrays aligned."""

_READ_BYTES = 64 * 1024
"""The number of bytes read at a time: the C library keeps buffers of this size, and maps larger ones anew each time."""

_MOST_FILES = 64
_NO_WAIT: int = getattr(socket, "MSG_DONTWAIT", 0)
_CLOSE_ON_EXEC: int = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Channel:
    """One end of a connection between two processes. Any thread may send; only one at a time may receive.

    Sending never waits for the other process: what does not fit into the socket is sent by a separate thread.

    Args:
        connection: The socket; it is closed with this object.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(True)
        self._socket = connection
        self._lock = Lock()
        self._outbox: deque[tuple[memoryview, list[int]]] = deque()
        self._decoder = MessageDecoder()
        self._unread = bytearray()
        self._files: deque[int] = deque()

    def fileno(self) -> int:
        """The descriptor of the socket."""
        return self._socket.fileno()

    def send(self, message: Message) -> None:
        """Sends a message. If the other side is gone, nothing happens: the receiver finds out.

        Args:
            message: The message.

        Raises:
            TypeError: See ``encode``.
            ValueError: See ``encode``.
            OverflowError: See ``encode``.
            BufferError: See ``encode``.
        """
        content, files = _lay_out(encode(message))
        with self._lock:
            if self._outbox:
                self._outbox.append((content, files))
                return
            left = self._send_now(content, files)
            if not left:
                return
            self._outbox.append((left, files if len(left) == len(content) else []))
        if start_thread("inferox-send", self._empty_outbox) is None:  # nothing else would ever send it
            self._empty_outbox()

    def receive(self, *, wait: bool = True) -> list[Message]:
        """Receives messages; there may be none if it does not wait.

        Args:
            wait: Whether to wait for one.

        Raises:
            EOFError: If the other side has closed its end, or is gone.
            ValueError: If a received file is not safe to read, or cannot be kept.
            msgspec.DecodeError: If the data is not a message.
        """
        messages: list[Message] = []
        while not messages:
            data = self._read(0 if wait else _NO_WAIT)
            messages = list(self._take_messages(data))
            if not wait:
                break
        return messages

    def close(self) -> None:
        """Closes the connection; a receiving thread is woken."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        close_quietly(self._files)
        self._files.clear()

    def _send_now(self, content: memoryview, files: list[int]) -> memoryview:
        """Sends as much as fits, and returns the rest."""
        try:
            sent = self._send_some(content, files, _NO_WAIT)
        except BlockingIOError:
            return content
        except OSError:
            close_quietly(files)
            return memoryview(b"")
        return content[sent:]

    def _send_some(self, content: memoryview, files: list[int], flags: int) -> int:
        extra = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
        sent = self._socket.sendmsg([content], extra, flags)
        close_quietly(files)  # they are sent with the first byte
        return sent

    def _empty_outbox(self) -> None:
        while True:
            content, files = self._outbox[0]
            try:
                while content:
                    content, files = content[self._send_some(content, files, 0) :], []
            except OSError:
                close_quietly(files)
            except BaseException:
                # Nothing can follow a partial message: the other side is told, and gives up this process.
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
                raise
            with self._lock:
                self._outbox.popleft()
                if not self._outbox:
                    return

    def _read(self, flags: int) -> bytes:
        room = socket.CMSG_SPACE(_MOST_FILES * array.array("i").itemsize)
        try:
            data, extra, found, _ = self._socket.recvmsg(_READ_BYTES, room, flags | _CLOSE_ON_EXEC)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise EOFError from error
        self._keep_files(extra)
        if found & socket.MSG_CTRUNC:
            raise ValueError("too few descriptors are left for the files that came")
        if not data:
            raise EOFError
        return data

    def _keep_files(self, extra: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in extra:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                found = array.array("i")
                found.frombytes(data[: len(data) - len(data) % found.itemsize])
                self._files.extend(found)

    def _take_messages(self, data: bytes) -> Iterator[Message]:
        # Usually a message arrives alone and in one piece, and is read in place.
        unread: bytes | bytearray = data
        if self._unread:
            self._unread += data
            unread = self._unread
        begin = 0
        while len(unread) - begin >= _HEADER.size:
            body, size, is_file = _HEADER.unpack_from(unread, begin)
            if not is_file and size > _MOST_INLINE_BYTES:
                raise ValueError(
                    f"a message says that it has {counted(size, 'byte')}, but may have {_MOST_INLINE_BYTES:,}"
                )
            end = begin + _HEADER.size + (0 if is_file else size)
            if len(unread) < end:
                break
            if is_file:
                content = map_file(self._next_file(), size)
            else:
                # The bytes, of which the arrays are views, belong to the message alone. They begin where the header
                # does, whose size keeps the arrays aligned.
                whole = unread if end - begin == len(data) and unread is data else bytes(unread[begin:end])
                content = memoryview(whole)[_HEADER.size :]
            begin = end
            yield self._decoder.decode(content, body)
        if unread is self._unread:
            del self._unread[:begin]
        else:
            self._unread += data[begin:]

    def _next_file(self) -> int:
        if not self._files:
            raise ValueError("a message refers to a file, but none came")
        return self._files.popleft()


def open_pair() -> tuple[socket.socket, socket.socket]:
    """Makes two connected sockets that can pass file descriptors."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def _lay_out(frame: Frame) -> tuple[memoryview, list[int]]:
    if frame.size_bytes >= INLINE_BYTES:
        with suppress(OSError):  # without a free descriptor, it goes through the socket
            file = make_file(frame.pieces())
            return memoryview(_HEADER.pack(len(frame.body), frame.size_bytes, 1)), [file]
    if frame.size_bytes > _MOST_INLINE_BYTES:
        raise ValueError(
            f"a frame of {counted(frame.size_bytes, 'byte')} is too large to send without a file, which cannot be made"
        )
    header = _HEADER.pack(len(frame.body), frame.size_bytes, 0)
    return memoryview(b"".join([header, *frame.pieces()])), []
