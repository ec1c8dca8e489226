"""The policy of retries: whether a request is repeated, and after which wait."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

RETRIED_STATUSES = frozenset({429, 502, 503})
"""Statuses that mean "not now": overload, a proxy without its server, a server that is starting or shutting down."""

_FIRST_S, _LONGEST_S = 0.1, 5.0
"""The wait before the first retry if the server does not request one, doubled with each retry; and its limit."""

_SPREAD = 0.25
"""The share by which a wait that the server requests is extended at random: clients must not all return at once."""


def may_retry(status: int, headers: Mapping[str, str]) -> bool:
    """Returns True if a retry of the request may succeed.

    Args:
        status: The status of the response.
        headers: The headers of the response.
    """
    return status in RETRIED_STATUSES and headers.get("x-should-retry", "").lower() != "false"


def choose_wait_s(tries: int, asked_s: float | None, draw: float) -> float:
    """Returns the wait before a retry, in seconds.

    Args:
        tries: The number of times that the request was sent so far.
        asked_s: The wait that the server requests, in seconds; ``None`` if it does not say.
        draw: A random number from 0 to 1.
    """
    if asked_s is not None:
        return asked_s * (1 + _SPREAD * draw)
    longest_s = min(_LONGEST_S, _FIRST_S * 2.0 ** min(tries - 1, 30))
    return longest_s * (1 + draw) / 2


def read_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Returns the wait that a server requests, in seconds; ``None`` if it does not say.

    Args:
        headers: The headers of the response: ``retry-after-ms``, which takes precedence, or ``retry-after``, in seconds
            or as a date.
        now: The current time, with its time zone.
    """
    milliseconds = _read_number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "")
    seconds = _read_number(text)
    if seconds is not None:
        return seconds
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _read_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < math.inf else None
