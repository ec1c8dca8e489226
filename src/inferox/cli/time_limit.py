"""The time limit of a command, counted from its start."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from inferox.measuring import TimeBudget

_LEAST_RESERVE, _MOST_RESERVE = 0.02, 0.15
"""The smallest and the largest share of the time to reserve for the end: processes exit, and a report is written."""


def time_limit(seconds: float | None) -> TimeBudget | None:
    """Makes the time budget of a command's measurements, which excludes the time its process took to start.

    Args:
        seconds: The time that the whole command may take; ``None`` for no limit.
    """
    from inferox.measuring import TimeBudget

    if seconds is None:
        return None
    used_s = _age_s()
    # Exiting takes about as long as starting, and on a busy machine both take longer.
    reserve_s = min(max(_LEAST_RESERVE * seconds, used_s), _MOST_RESERVE * seconds)
    return TimeBudget(seconds, used_s=used_s, reserve_s=reserve_s)


def _age_s() -> float:
    """Returns the time since the command began: with its process, or when the calling program says it did."""
    import psutil

    called_at: float | None = click.get_current_context().obj
    began = psutil.Process().create_time() if called_at is None else called_at
    return max(0.0, time.time() - began)
