"""Scales that map numbers to positions on a plot, and the round numbers that label axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

_ROUND_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_LOG_STEPS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0))
"""The factors of a decade that are labelled, from few to many."""


class Scale(Protocol):
    """Maps numbers to positions on a line."""

    def place(self, value: float) -> float:
        """Returns the position of a number: 0 for the start of the line, 1 for its end."""


@dataclass(frozen=True)
class LinearScale:
    """A linear scale.

    Attributes:
        low: The number at the start.
        high: The number at the end; above ``low``.
    """

    low: float
    high: float

    def place(self, value: float) -> float:
        """Returns the position of a number; see ``Scale``."""
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class LogScale:
    """A logarithmic scale.

    Attributes:
        low: The number at the start; above 0.
        high: The number at the end; above ``low``.
    """

    low: float
    high: float

    def place(self, value: float) -> float:
        """Returns the position of a number, which must be above 0; see ``Scale``."""
        return math.log(value / self.low) / math.log(self.high / self.low)


def _round_step(rough: float) -> float:
    """Returns the smallest round step that is not below a number."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in _ROUND_STEPS if factor * power >= rough * (1 - 1e-9))


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Returns round numbers in a range, for a logarithmic axis: 1, 2 and 5, or 1 and 3, or only powers of ten.

    Args:
        low: The start of the range; above 0.
        high: The end of the range; above ``low``.
        most: The most numbers; at least 2.

    Returns:
        The numbers in ascending order. If even powers of ten are too many, some are left out evenly; the list may be
        empty if the range is narrow.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    ticks: list[float] = []
    for steps in _LOG_STEPS:
        finer = [
            step * 10.0**power
            for power in range(first, last + 1)
            for step in steps
            if low * (1 - 1e-9) <= step * 10.0**power <= high * (1 + 1e-9)
        ]
        if len(finer) > most and ticks:
            break
        ticks = finer
    return ticks[:: math.ceil(len(ticks) / most)] if ticks else []


def linear_scale_from_zero(values: Sequence[float], most_ticks: int) -> tuple[LinearScale, list[float]]:
    """Makes a scale from 0 to a round number that is not below any value, and its ticks.

    Args:
        values: The values; none is negative.
        most_ticks: The most ticks; at least 2.
    """
    high = max(values, default=0.0) or 1.0
    step = _round_step(high / (most_ticks - 1))
    ticks = [index * step for index in range(math.ceil(high / step - 1e-9) + 1)]
    return LinearScale(0.0, ticks[-1]), ticks


def log_scale(values: Sequence[float], most_ticks: int) -> tuple[LogScale, list[float]]:
    """Makes a scale that spans all values with some room at both ends, and its ticks.

    Args:
        values: The values; all above 0.
        most_ticks: The most ticks; at least 2.
    """
    low, high = min(values, default=1.0) / 1.25, max(values, default=10.0) * 1.25
    return LogScale(low, high), log_ticks(low, high, most_ticks)
