"""Load benchmarks of an engine: closed loops of callers, then open loops at rates."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from inferox.bench.loops import run_load
from inferox.bench.results import LoadReport, LoadStep
from inferox.bench.sweep import CALLERS, Progress, check_loads, collect_steps, describe_step, sweep
from inferox.engine import Engine, EngineConfig
from inferox.loading import load
from inferox.machine import resolve_threads
from inferox.machine.description import this_machine
from inferox.measuring.comparison.workload import Workload
from inferox.tasks import ImageClassifyTask

_ITEMS, _IMAGES = 4096, 64


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
    """Measures a package under load, in an engine of this process, with requests of one item each, of mixed lengths.

    Args:
        package: A package: a folder, or an ``.mlpkg`` file.
        backend: See ``inferox.load``; so for the following arguments.
        device: The device to load it on.
        precision: The precision of the artifact.
        quality: The required agreement with the reference.
        threads: The number of CPU threads.
        trust_code: Whether code that comes with the package may run.
        callers: The numbers of concurrent callers, each of which sends its next request once it has its answer.
        rates_per_s: The rates at which requests are sent, per second, whether those before are answered or not;
            ``None`` for shares of the highest throughput of the callers.
        seconds: The duration of the whole benchmark, without loading.
        progress: Called before each step.

    Returns:
        The measurements: of fewer loads if the user stops it (``KeyboardInterrupt``) after the first.

    Raises:
        ConfigError: If a number is out of range.
        InferoxError: See ``inferox.load``.
    """
    check_loads(callers, rates_per_s, seconds)
    loaded = load(package, backend, device, precision, quality=quality, threads=threads, trust_code=trust_code)
    with Engine(EngineConfig(threads=threads)) as engine:
        is_of_images = isinstance(loaded.task, ImageClassifyTask)
        items = Workload(loaded.task, loaded.signature, None).mixed(_IMAGES if is_of_images else _ITEMS)
        info = engine.register(loaded)
        steps: list[LoadStep] = []
        measure = _Bench(engine, info.name, items).measure
        ending = collect_steps(sweep(measure, callers, rates_per_s, seconds, progress), steps)
    return LoadReport(
        info.name, info.task, info.artifact, resolve_threads(threads), this_machine(), steps, ending=ending
    )


@dataclass(frozen=True)
class _Bench:
    """An engine under measurement.

    Attributes:
        engine: The engine.
        name: The name of the model.
        items: The items of the requests.
    """

    engine: Engine
    name: str
    items: Sequence[Any]

    def measure(self, callers: int | None, rate_per_s: float | None, seconds: float) -> LoadStep:
        """Measures a number of callers, or else a rate."""
        before = self.engine.stats(self.name)
        observed = asyncio.run(run_load(self._ask, callers, rate_per_s, seconds))
        after = self.engine.stats(self.name)
        batches = max(1, after.batches - before.batches)
        return replace(
            describe_step(callers, rate_per_s, observed),
            batch_rows=(after.rows - before.rows) / batches,
            padding=(after.padding.total - before.padding.total) / batches,
        )

    async def _ask(self, number: int) -> object:
        return await self.engine.ainfer(self.name, [self.items[number % len(self.items)]], truncate="cut")
