"""How long a measurement may take, and how it ended."""

from __future__ import annotations

import math
from enum import StrEnum
from time import monotonic

from inferox.core import ConfigError


class Ending(StrEnum):
    """How a measurement ended."""

    COMPLETE = "complete"
    """Everything that was planned was measured."""
    OUT_OF_TIME = "out of time"
    """Its time was over before everything that was planned was measured."""
    INTERRUPTED = "interrupted"
    """The user stopped it."""


class TimeBudget:
    """The time that a measurement may take, from now on.

    Args:
        total_s: How long, in seconds; ``None`` for as long as it takes.

    Raises:
        ConfigError: If the time is not a positive number.
    """

    def __init__(self, total_s: float | None) -> None:
        if total_s is not None and not (math.isfinite(total_s) and total_s > 0):
            raise ConfigError(f"seconds must be a positive number, not {total_s!r}")
        self.total_s = math.inf if total_s is None else total_s
        self._began_s = monotonic()

    @property
    def used_s(self) -> float:
        """How much of it is over, in seconds."""
        return monotonic() - self._began_s

    @property
    def left_s(self) -> float:
        """How much of it is left, in seconds: negative where it is over, infinity where there is no limit."""
        return self.total_s - self.used_s

    def fits(self, expected_s: float) -> bool:
        """Whether something that is expected to take this many seconds may begin."""
        return expected_s <= self.left_s
