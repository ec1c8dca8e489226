"""W3C Trace Context: which trace of its clients a request belongs to."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

HEADER = "traceparent"

_SPAN_BYTES = 8

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_NO_VERSION = "ff"


def _make_span_id() -> str:
    return os.urandom(_SPAN_BYTES).hex()


@dataclass(frozen=True)
class TraceContext:
    """The place of a request in a trace.

    Attributes:
        trace_id: The trace; 32 hexadecimal digits.
        parent_id: What the client calls the step that sent the request; 16 hexadecimal digits.
        flags: The flags of the trace, such as ``01`` where it is sampled.
        span_id: What this server calls the answering of the request.
    """

    trace_id: str
    parent_id: str
    flags: str
    span_id: str = field(default_factory=_make_span_id)

    @property
    def header(self) -> str:
        """The ``traceparent`` that names this server's step."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def read_trace_context(header: str | None) -> TraceContext | None:
    """Reads a ``traceparent``; ``None`` where there is none, or one that the recommendation calls invalid.

    Args:
        header: The header.
    """
    found = None if header is None else _FORM.fullmatch(header.strip())
    if found is None:
        return None
    version, trace_id, parent_id, flags, more = found.groups()
    # Later versions may have more at the end, and version 00 has not.
    is_invalid = version == _NO_VERSION or (version == "00" and more is not None)
    if is_invalid or not trace_id.strip("0") or not parent_id.strip("0"):
        return None
    return TraceContext(trace_id, parent_id, flags)
