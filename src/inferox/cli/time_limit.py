"""The time that a command may take, counted from when it began."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from inferox.measuring import TimeBudget

_LEAST_RESERVE, _MOST_RESERVE = 0.02, 0.15
"""The shares of the time between which what is kept for the end lies: processes end, and a report is written."""


def time_limit(seconds: float | None) -> TimeBudget | None:
    """The time that a command may take to measure: what is left of it, as its process took time to start.

    Args:
        seconds: How long the whole command may take; ``None`` for no limit.
    """
    from inferox.measuring import TimeBudget

    if seconds is None:
        return None
    used_s = _age_s()
    # To end takes about as long as to start, and on a busy machine both take longer.
    reserve_s = min(max(_LEAST_RESERVE * seconds, used_s), _MOST_RESERVE * seconds)
    return TimeBudget(seconds, used_s=used_s, reserve_s=reserve_s)


def _age_s() -> float:
    """How long ago the command began: with its process, unless a program called it, which says when."""
    import psutil

    called_at: float | None = click.get_current_context().obj
    began = psutil.Process().create_time() if called_at is None else called_at
    return max(0.0, time.time() - began)
