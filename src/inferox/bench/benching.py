"""An engine under load: a sweep of callers, and of rates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from inferox.bench.loops import Observed, run_closed, run_open
from inferox.bench.results import LoadReport, LoadStep, summarise_latencies
from inferox.core import ConfigError
from inferox.engine import Engine, EngineConfig, ModelStats
from inferox.loading import load
from inferox.machine import resolve_threads
from inferox.machine.description import this_machine
from inferox.measuring.comparison.workload import Workload
from inferox.tasks import ImageClassifyTask

CALLERS = (1, 4, 16, 64, 256)
"""How many callers ask at a time where nothing else is said."""

SHARES = (0.5, 0.8, 0.95)
"""At which rates requests come where nothing else is said, as shares of the highest rate of the callers."""

_ITEMS, _IMAGES = 4096, 64
_WARM_UP_SHARE = 0.5
"""How long the engine is warmed up, in terms of one step."""

Progress = Callable[[str, int, int], object]
"""Is told what is measured, the number of steps that are done, and how many there are."""


def bench(
    package: str,
    backend: str = "auto",
    device: str | None = None,
    precision: str | None = None,
    *,
    quality: str | None = None,
    threads: int | None = None,
    trust_code: bool = False,
    callers: Sequence[int] = CALLERS,
    rates_per_s: Sequence[float] | None = None,
    seconds: float = 60.0,
    progress: Progress = lambda *_: None,
) -> LoadReport:
    """Measures a package in an engine of this process, with requests of one item each, of mixed lengths.

    Args:
        package: A package: a folder, or an ``.mlpkg`` file.
        backend: See ``inferox.load``, as for the arguments that follow.
        device: Where to load it.
        precision: The number format in which it computes.
        quality: How well it must agree with the original.
        threads: How many CPU threads it may use.
        trust_code: Whether code that comes with the package may run.
        callers: How many callers ask at a time, each as soon as it has its answer.
        rates_per_s: At how many requests a second requests come, whether those before are answered or not; ``None`` for
            shares of the highest rate of the callers.
        seconds: How long all of it takes, loading apart.
        progress: Is told how far it is.

    Raises:
        ConfigError: If a number is out of range.
        InferoxError: See ``inferox.load``.
    """
    _check(callers, rates_per_s, seconds)
    step_count = len(callers) + len(SHARES if rates_per_s is None else rates_per_s)
    step_s = seconds / (step_count + _WARM_UP_SHARE)
    loaded = load(package, backend, device, precision, quality=quality, threads=threads, trust_code=trust_code)
    with Engine(EngineConfig(threads=threads)) as engine:
        is_of_images = isinstance(loaded.task, ImageClassifyTask)
        items = Workload(loaded.task, loaded.signature, None).mixed(_IMAGES if is_of_images else _ITEMS)
        info = engine.register(loaded)
        bench_of = _Bench(engine, info.name, items, step_s)
        progress("warming up", 0, step_count)
        bench_of.run_callers(max(callers, default=1), _WARM_UP_SHARE)
        steps: list[LoadStep] = []
        for count in callers:
            progress(f"{count} {'caller' if count == 1 else 'callers'}", len(steps), step_count)
            steps.append(bench_of.run_callers(count))
        highest = max((step.answered_per_s for step in steps), default=0.0)
        for rate in [share * highest for share in SHARES] if rates_per_s is None else rates_per_s:
            progress(f"{rate:.3g} requests/s", len(steps), step_count)
            steps += [bench_of.run_rate(rate)] if rate > 0 else []
    return LoadReport(info.name, info.task, info.artifact, resolve_threads(threads), this_machine(), steps)


@dataclass(frozen=True)
class _Bench:
    """An engine that is measured.

    Attributes:
        engine: The engine.
        name: The name of the model.
        items: What is asked.
        step_s: How long one step takes.
    """

    engine: Engine
    name: str
    items: Sequence[Any]
    step_s: float

    def run_callers(self, callers: int, share: float = 1.0) -> LoadStep:
        """Measures a number of callers, for a share of a step."""
        before = self.engine.stats(self.name)
        observed = asyncio.run(run_closed(self._ask, callers, self.step_s * share))
        return _to_step(callers, None, observed, before, self.engine.stats(self.name))

    def run_rate(self, rate_per_s: float) -> LoadStep:
        """Measures a rate."""
        before = self.engine.stats(self.name)
        observed = asyncio.run(run_open(self._ask, rate_per_s, self.step_s))
        return _to_step(None, rate_per_s, observed, before, self.engine.stats(self.name))

    async def _ask(self, number: int) -> object:
        return await self.engine.ainfer(self.name, [self.items[number % len(self.items)]], truncate="cut")


def _check(callers: Sequence[int], rates_per_s: Sequence[float] | None, seconds: float) -> None:
    if not all(count > 0 for count in callers):
        raise ConfigError(f"callers must be positive integers, but are {list(callers)}")
    if rates_per_s is not None and not all(rate > 0 for rate in rates_per_s):
        raise ConfigError(f"rates must be positive numbers, but are {list(rates_per_s)}")
    if not callers and not rates_per_s:
        raise ConfigError("there is nothing to measure", hint="give callers or rates")
    if not seconds > 0:
        raise ConfigError(f"seconds must be a positive number, but is {seconds}")


def _to_step(
    callers: int | None, rate_per_s: float | None, observed: Observed, before: ModelStats, after: ModelStats
) -> LoadStep:
    batches = max(1, after.batches - before.batches)
    return LoadStep(
        callers=callers,
        offered_per_s=rate_per_s,
        duration_s=max(observed.ended_s - observed.began_s, 1e-9),
        answered=len(observed.latencies_s),
        failed=dict(observed.failed),
        latency_s=summarise_latencies(observed.latencies_s),
        batch_rows=(after.rows - before.rows) / batches,
        padding=(after.padding.total - before.padding.total) / batches,
    )
