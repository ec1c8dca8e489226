"""From numbers to places on a plot, and the round numbers that axes are labelled with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

_ROUND_STEPS = (1.0, 2.0, 5.0, 10.0)
_LOG_STEPS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0))
"""Which numbers of a decade are labelled, from few to many."""


class Scale(Protocol):
    """Places numbers on a line."""

    def place(self, value: float) -> float:
        """The share of the line at which a number stands: 0 for its beginning, 1 for its end."""


@dataclass(frozen=True)
class LinearScale:
    """Equal differences are equally far apart.

    Attributes:
        low: The number at the beginning.
        high: The number at the end; above ``low``.
    """

    low: float
    high: float

    def place(self, value: float) -> float:
        """See ``Scale``."""
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class LogScale:
    """Equal ratios are equally far apart.

    Attributes:
        low: The number at the beginning; above 0.
        high: The number at the end; above ``low``.
    """

    low: float
    high: float

    def place(self, value: float) -> float:
        """See ``Scale``; a number must be above 0."""
        return math.log(value / self.low) / math.log(self.high / self.low)


def _round_step(rough: float) -> float:
    """The least round number that is not below another."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in _ROUND_STEPS if factor * power >= rough * (1 - 1e-9))


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers between two others for a logarithmic axis: 1, 2 and 5, or 1 and 3, or powers of ten alone.

    Args:
        low: The least; above 0.
        high: The greatest; above ``low``.
        most: How many there may be at most; at least 2.

    Returns:
        The numbers in rising order. Where even powers of ten are too many, some are left out evenly; there may be none
        where the two numbers are close.
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
    """A scale from 0 to a round number that is not below any of some numbers, and its ticks.

    Args:
        values: The numbers, none of them negative.
        most_ticks: How many ticks there may be at most; at least 2.
    """
    high = max(values, default=0.0) or 1.0
    step = _round_step(high / (most_ticks - 1))
    ticks = [index * step for index in range(math.ceil(high / step - 1e-9) + 1)]
    return LinearScale(0.0, ticks[-1]), ticks


def log_scale(values: Sequence[float], most_ticks: int) -> tuple[LogScale, list[float]]:
    """A scale that spans some numbers with a little room on both sides, and its ticks.

    Args:
        values: The numbers, all above 0.
        most_ticks: How many ticks there may be at most; at least 2.
    """
    low, high = min(values, default=1.0) / 1.25, max(values, default=10.0) * 1.25
    return LogScale(low, high), log_ticks(low, high, most_ticks)
