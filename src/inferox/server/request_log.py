"""The access log: a line for each finished request."""

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
        """Writes the line of a finished request.

        Args:
            record: The record of the request.
            status: The status of the response: an HTTP status, or the name of a gRPC status code.
            sent_bytes: The length of the response body; ``None`` if unknown.
        """
        self._writer.write(write_request(self._kind, record, status, sent_bytes).encode(errors="backslashreplace"))


def open_log(config: ServerConfig, closing: ExitStack) -> RequestLog | None:
    """Opens the access log on standard error; ``None`` if it is off.

    Args:
        config: The settings.
        closing: Closes the log when it exits.
    """
    if not config.access_log:
        return None

    def describe_loss(lines: int) -> bytes:
        message = f"dropped {counted(lines, 'line')} of the access log, because it was not read in time"
        return write_message(config.log_format, "warning", message).encode()

    writer = LogWriter(sys.stderr.buffer, describe_loss)
    closing.callback(writer.close)
    return RequestLog(config.log_format, writer)
