"""Loops of requests: their number, their outcomes, and the start of their latency."""

from __future__ import annotations

import asyncio
from time import perf_counter

import pytest

from inferox.bench.loops import UNANSWERED, run_closed, run_open
from inferox.bench.results import summarise_latencies
from inferox.core import OverloadedError


def test_callers_ask_one_request_at_a_time_each() -> None:
    waiting, most, numbers = [0], [0], list[int]()

    async def ask(number: int) -> None:
        numbers.append(number)
        waiting[0] += 1
        most[0] = max(most[0], waiting[0])
        await asyncio.sleep(0.002)
        waiting[0] -= 1

    observed = asyncio.run(run_closed(ask, 5, 0.1))
    assert most == [5]
    assert len(observed.latencies_s) == len(numbers) > 5
    assert numbers == list(range(len(numbers)))
    assert min(observed.latencies_s) >= 0.0019
    assert not observed.failed


def test_requests_come_at_their_rate_though_none_is_answered_in_time() -> None:
    asked = []

    async def ask(number: int) -> None:
        asked.append(number)
        await asyncio.sleep(0.05 if number % 2 else 60)

    began_s = perf_counter()
    observed = asyncio.run(run_open(ask, 100, 0.5))
    assert perf_counter() - began_s < 30
    assert len(asked) == 40  # in 0.4 s
    assert observed.failed == {UNANSWERED: 40 - len(observed.latencies_s)}
    assert len(observed.latencies_s) > 10


def test_the_time_of_a_request_that_comes_late_counts_from_when_it_was_due() -> None:
    async def ask(number: int) -> None:
        if number == 0:
            blocked_until_s = perf_counter() + 0.2
            while perf_counter() < blocked_until_s:  # the loop blocks, and with it everything that is due
                pass

    observed = asyncio.run(run_open(ask, 200, 0.4))
    assert len(observed.latencies_s) == 64
    assert sorted(observed.latencies_s)[len(observed.latencies_s) // 2] > 0.02


def test_requests_that_are_refused_are_counted_by_their_error() -> None:
    async def ask(number: int) -> None:
        if number % 3 == 0:
            raise OverloadedError("too much")
        await asyncio.sleep(0)

    observed = asyncio.run(run_closed(ask, 2, 0.05))
    assert observed.failed["OverloadedError"] > 0
    assert observed.latencies_s


def test_an_error_that_nobody_expects_is_raised() -> None:
    async def ask(number: int) -> None:
        raise ZeroDivisionError(f"request {number}")

    for loop in (run_closed(ask, 2, 0.05), run_open(ask, 100, 0.05)):
        with pytest.raises(ZeroDivisionError):
            asyncio.run(loop)


def test_percentiles() -> None:
    found = summarise_latencies([number / 100 for number in range(101)])
    assert found == pytest.approx({"50": 0.5, "90": 0.9, "99": 0.99, "max": 1.0})
    assert summarise_latencies([]) == {}
