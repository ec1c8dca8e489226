"""W3C Trace Context: the place of a request in its client's trace."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

HEADER, STATE_HEADER = "traceparent", "tracestate"

_TRACE_BYTES, _SPAN_BYTES = 16, 8

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_NO_VERSION = "ff"
_IS_SAMPLED = 1
_KNOWN_FLAGS = _IS_SAMPLED | 2
"""Sampled and random; the recommendation requires that all other flags are set to zero when passed on."""

_STATE_MEMBER = re.compile(
    r"([a-z0-9][a-z0-9_*/@-]{0,255})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]", re.ASCII
)
_MOST_STATE_MEMBERS = 32

_ID_RANGE = 2**64


def _make_span_id() -> str:
    return os.urandom(_SPAN_BYTES).hex()


@dataclass(frozen=True)
class TraceContext:
    """The place of a request in a trace.

    Attributes:
        trace_id: The id of the trace; 32 hexadecimal digits.
        parent_id: The id of the client's span that sent the request, 16 hexadecimal digits; ``None`` if the trace
            begins here.
        flags: The known flags of the trace, such as ``01`` if it is sampled.
        state: The ``tracestate`` of other systems; ``None`` if there is none.
        span_id: The id of the server's span for the request.
    """

    trace_id: str
    parent_id: str | None
    flags: str
    state: str | None = None
    span_id: str = field(default_factory=_make_span_id)

    @classmethod
    def beginning_here(cls, share: float) -> TraceContext:
        """Returns a new trace, for a request whose client names none.

        Args:
            share: The share of such traces that are sampled, from 0 to 1.
        """
        trace_id = os.urandom(_TRACE_BYTES).hex()
        # By its last digits, as OpenTelemetry does: servers that see the trace after this one decide alike.
        is_sampled = int(trace_id[_TRACE_BYTES:], 16) < share * _ID_RANGE
        return cls(trace_id, None, "01" if is_sampled else "00")

    @property
    def is_sampled(self) -> bool:
        """True if the trace is sampled."""
        return bool(int(self.flags, 16) & _IS_SAMPLED)

    @property
    def headers(self) -> dict[str, str]:
        """The headers that name the server's span: ``traceparent``, and ``tracestate`` if there is one."""
        named = {HEADER: f"00-{self.trace_id}-{self.span_id}-{self.flags}"}
        return named if self.state is None else named | {STATE_HEADER: self.state}


def read_trace_context(headers: Mapping[str, str]) -> TraceContext | None:
    """Parses ``traceparent`` and ``tracestate``.

    A ``tracestate`` that is invalid by the recommendation is left out.

    Args:
        headers: The headers, by lower-case name.

    Returns:
        The place in the trace; ``None`` without a ``traceparent``, or with one that is invalid by the recommendation.
    """
    found = _FORM.fullmatch(headers.get(HEADER, "").strip())
    if found is None:
        return None
    version, trace_id, parent_id, flags, more = found.groups()
    # Later versions may append fields; version 00 must not.
    is_invalid = version == _NO_VERSION or (version == "00" and more is not None)
    if is_invalid or not trace_id.strip("0") or not parent_id.strip("0"):
        return None
    known = f"{int(flags, 16) & _KNOWN_FLAGS:02x}"
    return TraceContext(trace_id, parent_id, known, _read_state(headers.get(STATE_HEADER, "")))


def _read_state(header: str) -> str | None:
    members = [member for part in header.split(",") if (member := part.strip(" \t"))]
    found = [_STATE_MEMBER.fullmatch(member) for member in members]
    keys = {member[1] for member in found if member is not None}
    if not members or len(members) > _MOST_STATE_MEMBERS or len(keys) < len(members):
        return None
    return ",".join(members)
