"""Timing: calls that are repeated, in rounds of turns, summarised by their median and spread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import NoReturn, TypeVar

import numpy as np

from inferox.core import InferoxError

T = TypeVar("T")


@dataclass(frozen=True)
class Spread:
    """The median and the quartiles of some numbers.

    Attributes:
        median: The number in the middle.
        low: The first quartile.
        high: The third quartile.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarises at least one number. Quartiles are interpolated linearly."""
        low, median, high = (float(value) for value in np.quantile(np.asarray(values), (0.25, 0.5, 0.75)))
        return cls(median, low, high)

    @property
    def range(self) -> float:
        """The interquartile range."""
        return self.high - self.low


def time_call(call: Callable[[], object]) -> float:
    """Calls once.

    Args:
        call: What is timed.

    Returns:
        The seconds that it took.
    """
    started = perf_counter()
    call()
    return perf_counter() - started


def time_calls(call: Callable[[], object], budget_s: float, *, fewest: int = 1, most: int | None = None) -> list[float]:
    """Calls again and again.

    Args:
        call: What is timed.
        budget_s: For how long, in seconds.
        fewest: How often it is called at least, whatever the budget.
        most: How often it is called at most; ``None`` for as often as the budget allows.

    Returns:
        The seconds that each call took.
    """
    seconds: list[float] = []
    while len(seconds) < fewest or (sum(seconds) < budget_s and (most is None or len(seconds) < most)):
        seconds.append(time_call(call))
    return seconds


def order_turns(entrants: Sequence[T], number: int) -> list[T]:
    """The order of the turns of a round: there, and in the next round back again.

    The threads of the one before may still spin, and it must not be the same one before in each round.

    Args:
        entrants: Those that take turns.
        number: Which round it is, from 0.
    """
    return list(entrants if number % 2 == 0 else reversed(entrants))


def take_turns(
    turns: Mapping[str, Callable[[], Sequence[float]]],
    number: int,
    note_failure: Callable[[str, InferoxError], None],
) -> dict[str, list[float]]:
    """Times a round of turns, so that a machine that is busy for a while is busy for all that are compared.

    Args:
        turns: What each does in its turn, by its name: it gives the seconds that count.
        number: Which round it is, from 0: the order turns about from one to the next.
        note_failure: Told who failed and how: the others go on without it.

    Returns:
        The seconds of each that did not fail.
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
    """Times in rounds of turns, and raises what a turn raises.

    Args:
        turns: What each does in its turn, by its name: it gives the seconds that count.
        rounds: How many rounds there are.
        progress: Told the number of each round as it begins, from 0.

    Returns:
        The seconds of each, round after round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(rounds):
        progress(number)
        for name, taken in take_turns(turns, number, _raise).items():
            seconds[name] += taken
    return seconds


def _raise(_name: str, error: InferoxError) -> NoReturn:
    raise error
