"""Callers that ask as soon as they have an answer, and requests that come at a rate."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter

from inferox.core import InferoxError

Ask = Callable[[int], Awaitable[object]]
"""Asks for the answer to the request of a number."""

UNANSWERED = "unanswered"

_DRAIN_SHARE = 0.2
"""The share of the time in which no more requests come, and those that came may still be answered."""


class FailedAskError(InferoxError):
    """A request that was not answered, counted under a name of its own.

    Args:
        name: The name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass
class Observed:
    """What became of the requests of a loop.

    Attributes:
        began_s: When it began, on the clock of ``perf_counter``.
        ended_s: When its last answer came.
        latencies_s: How long each answer took.
        failed: How many requests were not answered, by the name of the error.
    """

    began_s: float = field(default_factory=perf_counter)
    ended_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)

    async def ask(self, ask: Ask, number: int, due_s: float) -> None:
        """Asks, and notes what becomes of it.

        Args:
            ask: Asks.
            number: The number of the request.
            due_s: From when its time counts.
        """
        try:
            await ask(number)
        except FailedAskError as error:
            self.failed[error.name] += 1
        except InferoxError as error:
            self.failed[type(error).__name__] += 1
        except asyncio.CancelledError:
            self.failed[UNANSWERED] += 1
            raise
        else:
            self.ended_s = perf_counter()
            self.latencies_s.append(self.ended_s - due_s)


async def run_closed(ask: Ask, callers: int, seconds: float) -> Observed:
    """Lets callers ask again and again, each as soon as it has its answer.

    Args:
        ask: Asks.
        callers: How many there are.
        seconds: How long it takes. Those that are not answered then are given up.
    """
    observed, numbers = Observed(), count()
    ends_s = observed.began_s + seconds * (1 - _DRAIN_SHARE)

    async def call() -> None:
        while (now_s := perf_counter()) < ends_s:
            failures = observed.failed.total()
            await observed.ask(ask, next(numbers), now_s)
            if observed.failed.total() > failures:
                await asyncio.sleep(0.001)  # or whoever is refused at once would ask without end

    await _finish([asyncio.create_task(call()) for _ in range(callers)], observed.began_s + seconds)
    return observed


async def run_open(ask: Ask, rate_per_s: float, seconds: float) -> Observed:
    """Lets requests come at random times, whether those before are answered or not.

    Args:
        ask: Asks.
        rate_per_s: How many come in a second on average.
        seconds: How long it takes. Those that are not answered then are given up.
    """
    observed, draw = Observed(), random.Random(0)  # noqa: S311 - varied, not secret
    comes_s = seconds * (1 - _DRAIN_SHARE)
    # Arrivals of a Poisson process of which the number is known: exactly as many as the rate says.
    times_s = sorted(draw.uniform(0, comes_s) for _ in range(max(1, round(rate_per_s * comes_s))))
    asked: set[asyncio.Task[None]] = set()
    for number, after_s in enumerate(times_s):
        due_s = observed.began_s + after_s
        # Some sleep is needed even where requests are late: answers come between them.
        await asyncio.sleep(max(0.0, due_s - perf_counter()))
        task = asyncio.create_task(observed.ask(ask, number, due_s))
        asked.add(task)
        task.add_done_callback(asked.discard)
    await _finish(list(asked), observed.began_s + seconds)
    return observed


async def run_load(ask: Ask, callers: int | None, rate_per_s: float | None, seconds: float) -> Observed:
    """Runs one of the two loops.

    Args:
        ask: Asks.
        callers: How many callers there are; ``None`` where requests come at a rate.
        rate_per_s: That rate.
        seconds: How long it takes.
    """
    if callers is not None:
        return await run_closed(ask, callers, seconds)
    return await run_open(ask, rate_per_s or 0.0, seconds)


async def _finish(tasks: list[asyncio.Task[None]], ends_s: float) -> None:
    """Waits for tasks up to a time, and gives up those that are not done then."""
    if tasks:
        _, left = await asyncio.wait(tasks, timeout=max(0.0, ends_s - perf_counter()))
        for task in left:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
