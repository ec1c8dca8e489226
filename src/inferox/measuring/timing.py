"""Timing of repeated calls, in rounds of turns, summarised by their median and spread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import NoReturn, TypeVar

import numpy as np

from inferox.core import InferoxError

T = TypeVar("T")


QUARTILES_FROM = 5
"""The fewest numbers of which quartiles are given: those of fewer would be mostly interpolated."""


@dataclass(frozen=True)
class Spread:
    """The median of some numbers, and the ends of their middle half; of fewer than five, the ends of all.

    Attributes:
        median: The median.
        low: The first quartile, or the least of fewer than five numbers.
        high: The third quartile, or the largest of fewer than five numbers.
        count: How many numbers there are.
    """

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarises at least one number. Quartiles are interpolated linearly."""
        ends = (0.25, 0.75) if len(values) >= QUARTILES_FROM else (0.0, 1.0)
        median, low, high = (float(value) for value in np.quantile(np.asarray(values), (0.5, *ends)))
        return cls(median, low, high, len(values))

    @property
    def is_middle_half(self) -> bool:
        """True if the ends are quartiles."""
        return self.count >= QUARTILES_FROM

    @property
    def range(self) -> float:
        """The distance between the ends."""
        return self.high - self.low

    @property
    def share(self) -> float:
        """The distance between the ends, as a share of the median; 0 if that is 0."""
        return self.range / self.median if self.median else 0.0


def time_call(call: Callable[[], object]) -> float:
    """Times one call.

    Args:
        call: The function to time.

    Returns:
        The seconds that it took.
    """
    started = perf_counter()
    call()
    return perf_counter() - started


def time_calls(call: Callable[[], object], budget_s: float, *, fewest: int = 1, most: int | None = None) -> list[float]:
    """Times repeated calls.

    Args:
        call: The function to time.
        budget_s: The time to spend, in seconds.
        fewest: The fewest calls, whatever the budget.
        most: The most calls; ``None`` for as many as the budget allows.

    Returns:
        The seconds that each call took.
    """
    seconds: list[float] = []
    while len(seconds) < fewest or (sum(seconds) < budget_s and (most is None or len(seconds) < most)):
        seconds.append(time_call(call))
    return seconds


def order_turns(runs: Sequence[T], number: int) -> list[T]:
    """Orders the turns of a round: forwards, and backwards in the next round.

    The threads of the previous run may still be spinning, so it must not be the same one in every round.

    Args:
        runs: The runs that take turns.
        number: The number of the round, from 0.
    """
    return list(runs if number % 2 == 0 else reversed(runs))


def take_turns(
    turns: Mapping[str, Callable[[], Sequence[float]]],
    number: int,
    note_failure: Callable[[str, InferoxError], None],
) -> dict[str, list[float]]:
    """Times a round of turns, so that temporary load on the machine affects all runs alike.

    Args:
        turns: The function of each run's turn, by name, which returns the seconds that count.
        number: The number of the round, from 0: the order reverses from one to the next.
        note_failure: Called with the name and the error of a run that failed: the others go on without it.

    Returns:
        The seconds of each run that did not fail.
    """
    seconds: dict[str, list[float]] = {}
    for name in order_turns(list(turns), number):
        try:
            seconds[name] = list(turns[name]())
        except InferoxError as error:
            note_failure(name, error)
    return seconds


def time_in_turns(
    turns: Mapping[str, Callable[[], Sequence[float]]],
    rounds: int,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, list[float]]:
    """Times rounds of turns; an error in a turn is raised.

    Args:
        turns: The function of each run's turn, by name, which returns the seconds that count.
        rounds: The number of rounds.
        progress: Called with the number of each round as it begins, from 0.

    Returns:
        The seconds of each run, round by round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(rounds):
        progress(number)
        for name, taken in take_turns(turns, number, _raise).items():
            seconds[name] += taken
    return seconds


def _raise(_name: str, error: InferoxError) -> NoReturn:
    raise error
