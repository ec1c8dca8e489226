"""The time that a command may take, counted from when it began."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from inferox.measuring import TimeBudget

_RESERVE_SHARE, _MOST_RESERVE_S = 0.05, 3.0
"""What is kept for the end: processes end, figures are summarised, and a report is written."""


def time_limit(seconds: float | None) -> TimeBudget | None:
    """The time that a command may take to measure: what is left of it, as its process took time to start.

    Args:
        seconds: How long the whole command may take; ``None`` for no limit.
    """
    from inferox.measuring import TimeBudget

    if seconds is None:
        return None
    reserve_s = min(_RESERVE_SHARE * seconds, _MOST_RESERVE_S)
    return TimeBudget(seconds, used_s=_age_s(), reserve_s=reserve_s)


def _age_s() -> float:
    """How long ago the command began: with its process, unless a program called it, which says when."""
    import psutil

    called_at: float | None = click.get_current_context().obj
    began = psutil.Process().create_time() if called_at is None else called_at
    return max(0.0, time.time() - began)
