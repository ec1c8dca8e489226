"""When a request is sent again, and how long that waits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

RETRIED_STATUSES = frozenset({429, 502, 503})
"""What says "not now": too much load, a proxy whose server is away, a server that is starting or ending."""

_FIRST_S, _LONGEST_S = 0.1, 5.0
"""The wait before the second try where the server asks for none, which doubles with each try, up to a limit."""

_SPREAD = 0.25
"""By which share a wait that the server asked for is lengthened at random: clients must not all come back at once."""


def may_retry(status: int, headers: Mapping[str, str]) -> bool:
    """Whether a request may succeed when it is sent again.

    Args:
        status: The status of its answer.
        headers: The headers of its answer.
    """
    return status in RETRIED_STATUSES and headers.get("x-should-retry", "").lower() != "false"


def choose_wait_s(tries: int, asked_s: float | None, draw: float) -> float:
    """How long to wait before a request is sent again.

    Args:
        tries: How often it was sent so far.
        asked_s: How long the server asks to wait at least; ``None`` where it does not say.
        draw: A random number from 0 to 1.
    """
    if asked_s is not None:
        return asked_s * (1 + _SPREAD * draw)
    longest_s = min(_LONGEST_S, _FIRST_S * 2.0 ** min(tries - 1, 30))
    return longest_s * (1 + draw) / 2


def read_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """How many seconds a server asks to wait; ``None`` where it does not say.

    Args:
        headers: The headers of its answer: ``retry-after-ms``, which goes first, or ``retry-after``, as seconds or a
            date.
        now: The time, with its zone.
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
