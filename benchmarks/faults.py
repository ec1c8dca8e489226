"""Requests to worker processes that are killed, and whose rows crash them, hang, fail or take all memory.

    python benchmarks/faults.py PACKAGE [--backend onnxruntime] [--requests 2000] [--callers 64] [--workers 2]
        [--threads 2] [--poison 100] [--kills 60] [--only crash] [--json]

The package is of a text encoder of the BERT family. Each run answers requests of one to four texts of mixed lengths:
undisturbed; with rows that crash the worker, hang, raise, give NaN, raise the error of an allocator, take all memory,
or have the worker killed as the kernel does when memory is short; with one row that crashes again and again; and while
workers are killed. A worker may take 384 MiB beside its model. The report has the number of ordinary requests that were
answered, the largest difference of their vectors from those of each text alone, the number of bad rows that were
refused, the latency of ordinary requests, and the number of workers seen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import signal
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from faulty_model import BACKEND, MARKS, PACKAGE, THREADS
from offline import make_texts
from tables import show

import inferox
from inferox import Engine, EngineConfig, InferoxError

_HANG_LIMIT_S = 2.0

RUNS = ("undisturbed", *MARKS, "same crash", "kills")


@dataclass
class Outcome:
    """The outcome of the requests of one run.

    Attributes:
        seconds: The duration of each ordinary request.
        difference: The largest difference of a number from that in the text's own vector.
        refused: The number of requests with a bad row that got an error that names it.
        wrong: Everything that should not have happened.
        pids: Every worker that was seen.
    """

    seconds: list[float] = field(default_factory=list)
    difference: float = 0.0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)
    pids: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Asked:
    """A request.

    Attributes:
        texts: Its texts.
        places: The indices of their vectors; empty if it is to fail.
        bad: The index of its bad text; ``None`` if it has none.
    """

    texts: list[str]
    places: list[int]
    bad: int | None = None


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package")
    parser.add_argument("--backend", default="onnxruntime")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--poison", type=int, default=100, help="the number of requests with a bad row")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--only", default="", help=f"only make runs whose name contains this: {', '.join(RUNS)}")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.CRITICAL)
    os.environ |= {
        PACKAGE: options.package,
        BACKEND: options.backend,
        THREADS: str(max(1, options.threads // options.workers)),
    }
    texts = make_texts(4 * options.requests, "mixed")
    with inferox.load(options.package, options.backend, threads=options.threads) as model:
        vectors = model.embed(texts, truncate="cut")
    report = {name: run(name, texts, vectors, options) for name in RUNS if options.only in name}
    print(json.dumps(report, indent=1)) if options.json else print_table(report, options)


def run(name: str, texts: list[str], vectors: npt.NDArray[np.float32], options: argparse.Namespace) -> dict[str, Any]:
    """Makes one run, with workers of its own."""
    print(name, file=sys.stderr)
    requests = make_requests(name, texts, options)
    config = EngineConfig(
        isolation="process",
        workers=options.workers,
        threads=options.threads,
        hang_limit_s=_HANG_LIMIT_S,
        refuse_non_finite=True,
    )
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - as Python puts it there
    with Engine(config) as engine:
        engine.load("python:faulty_model:make", name="model", trust_code=True)
        engine.infer_many("model", [[text] for text in texts[: 4 * options.callers]])
        kills = options.kills if name == "kills" else 0
        began = time.perf_counter()
        outcome = asyncio.run(ask_all(engine, requests, vectors, callers=options.callers, kills=kills))
        seconds = time.perf_counter() - began
    ordinary = sum(item.bad is None for item in requests)
    latencies = sorted(outcome.seconds) or [0.0]
    return {
        "ordinary": ordinary,
        "answered": len(outcome.seconds),
        "max_abs": outcome.difference,
        "bad": len(requests) - ordinary,
        "refused": outcome.refused,
        "wrong": len(outcome.wrong),
        "examples": outcome.wrong[:3],
        "p50_ms": 1000 * statistics.median(latencies),
        "p99_ms": 1000 * latencies[int(0.99 * (len(latencies) - 1))],
        "longest_ms": 1000 * latencies[-1],
        "workers_seen": len(outcome.pids),
        "seconds": seconds,
    }


def make_requests(name: str, texts: list[str], options: argparse.Namespace) -> list[Asked]:
    """Makes the requests of a run: those with a bad row are at random places among the others."""
    numbers = random.Random(0)  # noqa: S311 - no secret
    requests = []
    for _ in range(options.requests):
        places = numbers.sample(range(len(texts)), numbers.randint(1, 4))
        requests.append(Asked([texts[place] for place in places], places))
    mark = MARKS.get(name.removeprefix("same "))
    if mark is None:
        return requests
    for index in numbers.sample(range(len(requests)), min(options.poison, len(requests))):
        known = requests[index]
        bad = numbers.randrange(len(known.texts))
        text = f"bad {mark}" if name.startswith("same") else f"{known.texts[bad][:40]} {index} {mark}"
        requests[index] = Asked([text if row == bad else other for row, other in enumerate(known.texts)], [], bad)
    return requests


async def ask_all(
    engine: Engine, requests: list[Asked], vectors: npt.NDArray[np.float32], *, callers: int, kills: int
) -> Outcome:
    """Has callers make the requests, and kills workers meanwhile."""
    outcome, left, done = Outcome(), iter(requests), 0

    async def call() -> None:
        nonlocal done
        for asked in left:
            await ask(engine, asked, vectors, outcome)
            done += 1
            workers = engine.workers()
            outcome.pids.update(worker.pid for worker in workers)
            if kills and done % max(1, len(requests) // kills) == 0 and workers:
                os.kill(random.choice(workers).pid, signal.SIGKILL)  # noqa: S311 - no secret

    await asyncio.gather(*(call() for _ in range(callers)))
    return outcome


async def ask(engine: Engine, asked: Asked, vectors: npt.NDArray[np.float32], outcome: Outcome) -> None:
    """Makes one request, and records the outcome."""
    began = time.perf_counter()
    try:
        answer = await engine.ainfer("model", asked.texts, truncate="cut")
    except InferoxError as error:
        if asked.bad is not None and error.item == asked.bad:
            outcome.refused += 1
        else:
            outcome.wrong.append(f"{asked.bad}: {error}")
        return
    if asked.bad is not None:
        outcome.wrong.append(f"a bad row was answered: {asked.texts[asked.bad]!r}")
        return
    outcome.seconds.append(time.perf_counter() - began)
    outcome.difference = max(outcome.difference, float(np.abs(answer.results - vectors[asked.places]).max()))


def print_table(report: dict[str, Any], options: argparse.Namespace) -> None:
    """Prints the outcomes."""
    from rich.table import Table

    table = Table(title=f"{options.callers} callers, {options.workers} workers, {options.threads} threads")
    for heading in ("run", "answered", "max abs", "refused", "wrong", "p50 ms", "p99 ms", "longest ms", "workers", "s"):
        table.add_column(heading)
    for name, row in report.items():
        table.add_row(
            name,
            f"{row['answered']} of {row['ordinary']}",
            f"{row['max_abs']:.1e}",
            f"{row['refused']} of {row['bad']}",
            str(row["wrong"]),
            f"{row['p50_ms']:.0f}",
            f"{row['p99_ms']:.0f}",
            f"{row['longest_ms']:.0f}",
            str(row["workers_seen"]),
            f"{row['seconds']:.0f}",
        )
    show(table)
    for name, row in report.items():
        for example in row["examples"]:
            print(f"{name}: {example}")


if __name__ == "__main__":
    main()
