"""Timing, on a clock that only the calls advance."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from inferox.core import ExecutionError
from inferox.measuring.timing import Spread, take_turns, time_call, time_calls, time_in_turns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("inferox.measuring.timing.perf_counter", lambda: now[0])
    return now


@pytest.fixture
def taking(clock: list[float]) -> Callable[[float], Callable[[], None]]:
    """Makes a call that takes some seconds."""

    def make(seconds: float) -> Callable[[], None]:
        def call() -> None:
            clock[0] += seconds

        return call

    return make


def test_a_call_is_timed_alone(clock: list[float], taking: Callable[[float], Callable[[], None]]) -> None:
    clock[0] = 100.0
    assert time_call(taking(0.25)) == 0.25


@pytest.mark.parametrize(
    ("seconds", "fewest", "most", "calls"),
    [(0.25, 1, None, 4), (0.25, 6, None, 6), (0.25, 1, 3, 3), (2.0, 1, None, 1), (2.0, 3, 5, 3)],
)
def test_calls_are_repeated_for_a_while(
    taking: Callable[[float], Callable[[], None]], seconds: float, fewest: int, most: int | None, calls: int
) -> None:
    assert time_calls(taking(seconds), 1.0, fewest=fewest, most=most) == [seconds] * calls


def test_each_takes_its_turn_in_each_round_and_the_order_turns_about() -> None:
    taken: list[str] = []

    def turn(name: str) -> Callable[[], list[float]]:
        def take() -> list[float]:
            taken.append(name)
            return [len(taken)]

        return take

    turns, failures = {name: turn(name) for name in "abc"}, dict[str, object]()
    rounds = [take_turns(turns, number, failures.__setitem__) for number in range(3)]
    assert "".join(taken) == "abccbaabc"
    assert rounds == [{"a": [1], "b": [2], "c": [3]}, {"a": [6], "b": [5], "c": [4]}, {"a": [7], "b": [8], "c": [9]}]
    assert not failures


def test_one_that_fails_is_noted_and_the_others_go_on() -> None:
    error = ExecutionError("the device is gone")

    def fail() -> list[float]:
        raise error

    failures: dict[str, object] = {}
    turns: dict[str, Callable[[], list[float]]] = {"failing": fail, "well": lambda: [0.5]}
    assert take_turns(turns, 0, failures.__setitem__) == {"well": [0.5]}
    assert failures == {"failing": error}
    with pytest.raises(ExecutionError, match="the device is gone"):
        time_in_turns(turns, 2)
    assert time_in_turns({"well": turns["well"]}, 2) == {"well": [0.5, 0.5]}


def test_the_middle_half() -> None:
    spread = Spread.of([5.0, 1.0, 2.0, 3.0, 4.0])
    assert (spread.low, spread.median, spread.high, spread.range) == (2.0, 3.0, 4.0, 2.0)


def test_fewer_than_five_span_all() -> None:
    spread = Spread.of([5.0, 1.0, 2.0, 3.0])
    assert (spread.low, spread.median, spread.high, spread.range) == (1.0, 2.5, 5.0, 4.0)
    assert Spread.of([2.0]) == Spread(2.0, 2.0, 2.0, 1)
    assert (spread.is_middle_half, Spread.of([1.0] * 5).is_middle_half) == (False, True)
    assert spread.share == 1.6
