"""The time budget of a measurement, and the way it ended."""

from __future__ import annotations

import math
from enum import StrEnum
from time import monotonic

from inferox.core import ConfigError


class Ending(StrEnum):
    """The way a measurement ended."""

    COMPLETE = "complete"
    """Everything that was planned was measured."""
    OUT_OF_TIME = "out of time"
    """The time ran out before everything that was planned was measured."""
    INTERRUPTED = "interrupted"
    """The user stopped it."""


class TimeBudget:
    """The time that a measurement may take.

    Args:
        total_s: The total time in seconds; ``None`` for no limit.
        used_s: The part of it that is already used, such as a program's start.
        reserve_s: The part of it that is reserved for what follows the measurement, such as a report.

    Raises:
        ConfigError: If the time is not a positive number.
    """

    def __init__(self, total_s: float | None, *, used_s: float = 0.0, reserve_s: float = 0.0) -> None:
        is_number = isinstance(total_s, int | float) and not isinstance(total_s, bool)
        if total_s is not None and not (is_number and math.isfinite(total_s) and total_s > 0):
            raise ConfigError(f"seconds must be a positive number, but is {total_s!r}")
        self.total_s = math.inf if total_s is None else total_s
        self._reserve_s = reserve_s
        self._began_s = monotonic() - used_s

    @classmethod
    def of(cls, seconds: float | TimeBudget | None) -> TimeBudget:
        """Makes a budget from a caller's value.

        Args:
            seconds: The seconds from now on, ``None`` for no limit, or a budget that has already begun.

        Raises:
            ConfigError: If the time is not a positive number.
        """
        return seconds if isinstance(seconds, TimeBudget) else cls(seconds)

    @property
    def used_s(self) -> float:
        """The time used so far, in seconds."""
        return monotonic() - self._began_s

    @property
    def left_s(self) -> float:
        """The time left to measure in, in seconds: negative once it is over, infinity if there is no limit."""
        return self.total_s - self._reserve_s - self.used_s

    def fits(self, expected_s: float) -> bool:
        """Returns whether a step that is expected to take this many seconds may begin."""
        return expected_s <= self.left_s
