"""The sweep of a load benchmark: numbers of callers, and then rates of requests."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from inferox.bench.loops import Observed
from inferox.bench.results import LoadStep, summarise_latencies
from inferox.core import ConfigError
from inferox.measuring.time_budget import Ending

CALLERS = (1, 4, 16, 64, 256)
"""The default numbers of concurrent callers."""

SHARES = (0.5, 0.8, 0.95)
"""The default rates, as shares of the highest throughput of the callers."""

_WARM_UP_SHARE = 0.5
"""The duration of the warm-up, in steps."""

Progress = Callable[[str, int, int], object]
"""Called with the description of a step, the number of steps done, and the total number of steps."""

Measure = Callable[[int | None, float | None, float], LoadStep]
"""Measures a number of callers, or else a rate, for a number of seconds."""


def check_loads(callers: Sequence[int], rates_per_s: Sequence[float] | None, seconds: float) -> None:
    """Checks the loads and the duration of a benchmark.

    Args:
        callers: The numbers of callers.
        rates_per_s: The rates; ``None`` for shares of the callers' throughput.
        seconds: The duration of the whole benchmark.

    Raises:
        ConfigError: If a number is out of range, or there is nothing to measure.
    """
    if not all(type(count) is int and count > 0 for count in callers):
        raise ConfigError(f"callers must be positive integers, but are {list(callers)}")
    if rates_per_s is not None and not all(0 < rate < math.inf for rate in rates_per_s):
        raise ConfigError(f"rates must be positive numbers, but are {list(rates_per_s)}")
    if not callers and not rates_per_s:
        raise ConfigError("there is nothing to measure", hint="give callers or rates")
    if not 0 < seconds < math.inf:
        raise ConfigError(f"seconds must be a positive number, but is {seconds}")


def count_loads(callers: Sequence[int], rates_per_s: Sequence[float] | None) -> int:
    """Returns the number of loads to measure.

    Args:
        callers: The numbers of callers.
        rates_per_s: The rates; ``None`` for ``SHARES`` of the callers' throughput.
    """
    return len(callers) + len(SHARES if rates_per_s is None else rates_per_s)


def sweep(
    measure: Measure,
    callers: Sequence[int],
    rates_per_s: Sequence[float] | None,
    seconds: float,
    progress: Progress,
) -> Iterator[LoadStep]:
    """Measures one load after the other, after a warm-up whose figures are discarded.

    Args:
        measure: Measures one load.
        callers: The numbers of callers.
        rates_per_s: The rates; ``None`` for ``SHARES`` of the callers' highest throughput.
        seconds: The duration of the whole benchmark.
        progress: Called before each step.

    Yields:
        The measurements at each load, before the next is measured.
    """
    step_count = count_loads(callers, rates_per_s)
    step_s = seconds / (step_count + _WARM_UP_SHARE)
    progress("warming up", 0, step_count)
    measure(max(callers, default=1), None, step_s * _WARM_UP_SHARE)
    highest = 0.0
    for index, count in enumerate(callers):
        progress(f"{count} {'caller' if count == 1 else 'callers'}", index, step_count)
        step = measure(count, None, step_s)
        highest = max(highest, step.answered_per_s)
        yield step
    for index, rate in enumerate([share * highest for share in SHARES] if rates_per_s is None else rates_per_s):
        progress(f"{rate:.3g} requests/s", len(callers) + index, step_count)
        if rate > 0:
            yield measure(None, rate, step_s)


def collect_steps(loads: Iterator[LoadStep], steps: list[LoadStep]) -> Ending:
    """Measures one load after the other, until all are measured or the user stops it.

    Args:
        loads: Measures the next load; see ``sweep``.
        steps: The list to which the measurements are appended.

    Raises:
        KeyboardInterrupt: If the user stops it before any load is measured.
    """
    try:
        steps.extend(loads)
    except KeyboardInterrupt:
        if not steps:
            raise
        return Ending.INTERRUPTED
    return Ending.COMPLETE


def describe_step(callers: int | None, rate_per_s: float | None, observed: Observed) -> LoadStep:
    """Makes the measurements of one load from the outcome of its requests.

    Args:
        callers: The number of callers; ``None`` for requests at a rate.
        rate_per_s: The rate; ``None`` for callers.
        observed: The outcome of the requests.
    """
    return LoadStep(
        callers=callers,
        offered_per_s=rate_per_s,
        duration_s=max(observed.ended_s - observed.began_s, 1e-9),
        answered=len(observed.latencies_s),
        failed=dict(observed.failed),
        latency_s=summarise_latencies(observed.latencies_s),
    )
