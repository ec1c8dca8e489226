"""Formats of the server's log: lines for people, or JSON for programs."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import json

from inferox.core import printable
from inferox.server.request_record import RequestRecord, current_record

LogFormat = Literal["text", "json"]

LOG_FORMATS: tuple[LogFormat, ...] = ("text", "json")

_SHOWN_PATH = 200
"""The number of characters of a path that are logged."""


def write_message(kind: LogFormat, level: str, message: str) -> str:
    """Formats a message as a line.

    Args:
        kind: The format.
        level: The log level, such as ``info``.
        message: The message.
    """
    if kind == "text":
        return printable(f"inferox: {message}")
    return _to_line({"time": _now(), "level": level, "message": message})


def write_request(kind: LogFormat, record: RequestRecord, status: int | str, sent_bytes: int | None) -> str:
    """Formats the access log line of a finished request.

    Args:
        kind: The format.
        record: The record of the request.
        status: The status of the response; 499 if the client had disconnected.
        sent_bytes: The length of the response body; ``None`` if unknown.
    """
    trace = record.trace
    facts = {
        "protocol": record.protocol,
        "method": record.method,
        "path": record.path[:_SHOWN_PATH],
        "status": status,
        "duration_ms": round(1000 * (time.perf_counter() - record.started_s), 2),
        "request_id": record.id,
        "model": record.model,
        "api_key": record.owner,
        "received_bytes": record.received_bytes,
        "sent_bytes": sent_bytes,
        "trace_id": trace and trace.trace_id,
        "span_id": trace and trace.span_id,
        "parent_span_id": trace and trace.parent_id,
        "trace_state": trace and trace.state,
    }
    known = {name: value for name, value in facts.items() if value is not None}
    if kind == "json":
        return _to_line({"time": _now(), "level": "info", "message": "request", **known})
    # Spaces in a path are escaped, so that the fields of a line can be told apart.
    shown = (f"{name}={str(value).replace(' ', '%20')}" for name, value in known.items())
    return printable(f"{_now()} request {' '.join(shown)}")


class JsonFormatter(logging.Formatter):
    """Formats a log record as a line of JSON, including its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Formats a record as a line."""
        line: dict[str, Any] = {
            "time": _now(),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "logger": record.name,
        }
        line |= _name_request()
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _to_line(line)


def _name_request() -> dict[str, str]:
    """Returns the ids of the request during which a line is logged."""
    if (record := current_record.get()) is None:
        return {}
    if record.trace is None:
        return {"request_id": record.id}
    return {"request_id": record.id, "trace_id": record.trace.trace_id, "span_id": record.trace.span_id}


def _to_line(value: dict[str, Any]) -> str:
    # JSON cannot represent lone surrogates, which file names may contain.
    clean = {
        name: some.encode(errors="backslashreplace").decode() if isinstance(some, str) else some
        for name, some in value.items()
    }
    return json.encode(clean).decode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
