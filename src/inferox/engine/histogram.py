"""Histograms."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Self

COUNT_BOUNDS = tuple(float(2**power) for power in range(15))
"""Bounds for numbers of rows or tokens: 1, 2, 4 and so on up to 16,384."""

SHARE_BOUNDS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
"""Bounds for shares of a whole."""

SECONDS_BOUNDS = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
"""Bounds for times in seconds."""


@dataclass(frozen=True)
class Histogram:
    """A histogram of numbers.

    Attributes:
        bounds: The upper bound of each bucket but the last, in ascending order. The last takes larger numbers.
        counts: The count of each bucket.
        total: The sum of all numbers.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float = 0.0

    @classmethod
    def empty(cls, bounds: tuple[float, ...]) -> Self:
        """Makes an empty histogram.

        Args:
            bounds: The upper bounds of the buckets.
        """
        return cls(bounds, (0,) * (len(bounds) + 1))

    @property
    def count(self) -> int:
        """The total count."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """The mean; 0 if there are no numbers."""
        return self.total / self.count if self.count else 0.0

    def __add__(self, other: Histogram) -> Histogram:
        """Adds two histograms, which must have the same bounds."""
        counts = tuple(mine + yours for mine, yours in zip(self.counts, other.counts, strict=True))
        return Histogram(self.bounds, counts, self.total + other.total)

    def __radd__(self, other: int) -> Histogram:
        """Returns itself, since ``sum`` begins with 0."""
        return self if other == 0 else NotImplemented


NO_COUNTS = Histogram.empty(COUNT_BOUNDS)
NO_SHARES = Histogram.empty(SHARE_BOUNDS)
NO_SECONDS = Histogram.empty(SECONDS_BOUNDS)


class HistogramRecorder:
    """Counts numbers into a histogram. Not thread-safe.

    Args:
        bounds: The upper bounds of the buckets; see ``Histogram``.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def note(self, number: float, times: int = 1) -> None:
        """Counts a number.

        Args:
            number: The number.
            times: The number of times to count it.
        """
        self._counts[bisect_left(self._bounds, number)] += times
        self._total += number * times

    def read(self) -> Histogram:
        """Returns the counts so far."""
        return Histogram(self._bounds, tuple(self._counts), self._total)
