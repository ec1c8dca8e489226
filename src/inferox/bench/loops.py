"""Load generators: closed loops of callers, and open loops of requests at a rate."""

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
"""Sends the request with a given number, and waits for the answer."""

UNANSWERED = "unanswered"

_DRAIN_SHARE = 0.2
"""The share of the duration, at its end, in which no more requests are sent, but answers are still awaited."""


class FailedAskError(InferoxError):
    """A failed request, counted under a name.

    Args:
        name: The name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass
class Observed:
    """The outcome of the requests of a load generator.

    Attributes:
        began_s: The start time, on the clock of ``perf_counter``.
        ended_s: The time of the last answer.
        latencies_s: The latency of each answer.
        failed: The number of failed requests, by the name of the error.
    """

    began_s: float = field(default_factory=perf_counter)
    ended_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)

    async def ask(self, ask: Ask, number: int, due_s: float) -> None:
        """Sends a request, and records its outcome.

        Args:
            ask: Sends the request.
            number: The number of the request.
            due_s: The time from which its latency counts.
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
    """Runs a closed loop: callers that each send the next request once they have their answer.

    Args:
        ask: Sends a request.
        callers: The number of callers.
        seconds: The duration. Requests that are unanswered at its end are given up.
    """
    observed, numbers = Observed(), count()
    ends_s = observed.began_s + seconds * (1 - _DRAIN_SHARE)

    async def call() -> None:
        while (now_s := perf_counter()) < ends_s:
            failures = observed.failed.total()
            await observed.ask(ask, next(numbers), now_s)
            if observed.failed.total() > failures:
                await asyncio.sleep(0.001)  # or a caller that is refused at once would spin

    await _finish([asyncio.create_task(call()) for _ in range(callers)], observed.began_s + seconds)
    return observed


async def run_open(ask: Ask, rate_per_s: float, seconds: float) -> Observed:
    """Runs an open loop: requests sent at random times, whether those before are answered or not.

    Args:
        ask: Sends a request.
        rate_per_s: The average number of requests per second.
        seconds: The duration. Requests that are unanswered at its end are given up.
    """
    observed, draw = Observed(), random.Random(0)  # noqa: S311 - varied, not secret
    comes_s = seconds * (1 - _DRAIN_SHARE)
    # Arrivals of a Poisson process, conditioned on their number: exactly as many as the rate implies.
    times_s = sorted(draw.uniform(0, comes_s) for _ in range(max(1, round(rate_per_s * comes_s))))
    asked: set[asyncio.Task[None]] = set()
    for number, after_s in enumerate(times_s):
        due_s = observed.began_s + after_s
        # Some sleep is needed even if requests are late, for answers to be received.
        await asyncio.sleep(max(0.0, due_s - perf_counter()))
        task = asyncio.create_task(observed.ask(ask, number, due_s))
        asked.add(task)
        task.add_done_callback(asked.discard)
    await _finish(list(asked), observed.began_s + seconds)
    return observed


async def run_load(ask: Ask, callers: int | None, rate_per_s: float | None, seconds: float) -> Observed:
    """Runs a closed loop if callers are given, or else an open loop.

    Args:
        ask: Sends a request.
        callers: The number of callers; ``None`` for requests at a rate.
        rate_per_s: The rate, in requests per second.
        seconds: The duration.
    """
    if callers is not None:
        return await run_closed(ask, callers, seconds)
    return await run_open(ask, rate_per_s or 0.0, seconds)


async def _finish(tasks: list[asyncio.Task[None]], ends_s: float) -> None:
    """Waits for tasks up to a time, and cancels those that are not done then."""
    if tasks:
        _, left = await asyncio.wait(tasks, timeout=max(0.0, ends_s - perf_counter()))
        for task in left:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
