"""The log of requests: a line for each, when it is over."""

from __future__ import annotations

import sys
from contextlib import ExitStack

from inferox.core import counted
from inferox.server.config import ServerConfig
from inferox.server.log_format import LogFormat, write_message, write_request
from inferox.server.log_writer import LogWriter
from inferox.server.request_record import RequestRecord


class RequestLog:
    """Writes a line for each request.

    Args:
        kind: The format.
        writer: Writes the lines.
    """

    def __init__(self, kind: LogFormat, writer: LogWriter) -> None:
        self._kind: LogFormat = kind
        self._writer = writer

    def note(self, record: RequestRecord, status: int | str, sent_bytes: int | None = None) -> None:
        """Writes the line of a request that is over.

        Args:
            record: What was noted of it.
            status: The status of its answer: a number, or a word of gRPC.
            sent_bytes: The length of the body of the answer; ``None`` where it is not known.
        """
        self._writer.write(write_request(self._kind, record, status, sent_bytes).encode(errors="backslashreplace"))


def open_log(config: ServerConfig, closing: ExitStack) -> RequestLog | None:
    """The log of requests, on standard error; ``None`` where there is to be none.

    Args:
        config: The settings.
        closing: Closes it.
    """
    if not config.access_log:
        return None

    def describe_loss(lines: int) -> bytes:
        message = f"left out {counted(lines, 'line')} of requests, because nobody read the log in time"
        return write_message(config.log_format, "warning", message).encode()

    writer = LogWriter(sys.stderr.buffer, describe_loss)
    closing.callback(writer.close)
    return RequestLog(config.log_format, writer)
