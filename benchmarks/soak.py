"""Whether an engine leaks: memory, threads, descriptors and shared memory over many requests and loads.

    python benchmarks/soak.py PACKAGE [--backends onnxruntime,openvino,torch] [--requests 200000] [--cycles 500]
        [--callers 64] [--threads 2] [--longest 256] [--isolation thread] [--json]

Requests have one text each, of 1 to ``--longest`` words in random order; every 2,000th has 2,048 texts. Cycles load the
package, embed one text, and unload it. The holdings of the process and its children are read a hundred times over each
run. The growth of memory is the median of the last tenth of a run, less the median of the tenth that begins after a
fifth of it; that of threads, descriptors and files in shared memory is their number at the end, less their number after
that fifth.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from inferox import Engine, EngineConfig

_SAMPLES = 100
_LARGE_EVERY = 2000
_LARGE_TEXTS = 2048
_WORD = "word "


@dataclass(frozen=True)
class Holdings:
    """The resources that a process and its children hold.

    Attributes:
        memory_bytes: Their resident memory.
        threads: Their threads.
        descriptors: Their open descriptors.
        shared_files: The files in ``/dev/shm``.
    """

    memory_bytes: int
    threads: int
    descriptors: int
    shared_files: int

    @classmethod
    def read(cls) -> Holdings:
        """Reads the current holdings."""
        own = psutil.Process()
        processes = [own, *own.children(recursive=True)]
        shared = Path("/dev/shm")  # noqa: S108 - looked at, not written to
        return cls(
            sum(process.memory_info().rss for process in processes),
            sum(process.num_threads() for process in processes),
            sum(process.num_fds() for process in processes),
            len(list(shared.iterdir())) if shared.is_dir() else 0,
        )


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", help="a package of the task embed")
    parser.add_argument("--backends", default="onnxruntime,openvino,torch")
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--cycles", type=int, default=500)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--longest", type=int, default=256, help="the most words of a text")
    parser.add_argument("--isolation", default="thread", choices=["thread", "process"])
    parser.add_argument("--json", action="store_true", help="a line of JSON for each run")
    options = parser.parse_args()
    config = EngineConfig(threads=options.threads, isolation=options.isolation, max_waiting_tokens=2**31)
    for backend in options.backends.split(","):
        with Engine(config) as engine:
            for run, measure, count in (("requests", soak, options.requests), ("cycles", cycle, options.cycles)):
                if count:
                    row = {"backend": backend, "run": run, **measure(engine, backend, options)}
                    # At once: what comes next may take an hour, and fail.
                    print(json.dumps(row) if options.json else format_row(row), flush=True)


def soak(engine: Engine, backend: str, options: argparse.Namespace) -> dict[str, Any]:
    """Sends an engine texts of every length.

    Args:
        engine: The engine.
        backend: The backend.
        options: The options of the command line.

    Returns:
        The holdings.
    """
    engine.load(options.package, name="model", backend=backend)
    random_lengths = random.Random(0)  # noqa: S311 - the same at every run
    held: list[Holdings] = []
    asked = iter(range(options.requests))
    every = max(1, options.requests // _SAMPLES)

    async def call() -> None:
        for index in asked:
            if index % every == 0:
                held.append(Holdings.read())
            count = _LARGE_TEXTS if index % _LARGE_EVERY == 1 else 1
            texts = [_WORD * random_lengths.randint(1, options.longest) for _ in range(count)]
            answer = await engine.ainfer("model", texts, truncate="cut")
            if len(answer.results) != count:
                raise SystemExit(f"{count} texts were sent, and {len(answer.results)} vectors came back")

    async def call_all() -> None:
        await asyncio.gather(*(call() for _ in range(options.callers)))

    began = time.perf_counter()
    asyncio.run(call_all())
    seconds = time.perf_counter() - began
    engine.unload("model")
    return {"count": options.requests, "seconds": round(seconds, 1), **compare(held)}


def cycle(engine: Engine, backend: str, options: argparse.Namespace) -> dict[str, Any]:
    """Loads and unloads a package again and again.

    Args:
        engine: The engine.
        backend: The backend.
        options: The options of the command line.

    Returns:
        The growth of the holdings.
    """
    held: list[Holdings] = []
    every = max(1, options.cycles // _SAMPLES)
    began = time.perf_counter()
    for index in range(options.cycles):
        engine.load(options.package, name="model", backend=backend)
        engine.infer("model", [_WORD])
        engine.unload("model")
        if index % every == 0:
            held.append(Holdings.read())
    return {"count": options.cycles, "seconds": round(time.perf_counter() - began, 1), **compare(held)}


def compare(held: Sequence[Holdings]) -> dict[str, Any]:
    """Returns how much more was held at the end of a run than after a fifth of it.

    Args:
        held: The holdings, at regular intervals over the run.
    """
    tenth, start = max(1, len(held) // 10), len(held) // 5
    first, last = (
        statistics.median(item.memory_bytes for item in some) for some in (held[start : start + tenth], held[-tenth:])
    )
    return {
        "memory_mib": round(last / 2**20, 1),
        "growth": round(last / first - 1, 4),
        "threads": held[-1].threads - held[start].threads,
        "descriptors": held[-1].descriptors - held[start].descriptors,
        "shared_files": held[-1].shared_files - held[start].shared_files,
    }


def format_row(row: dict[str, Any]) -> str:
    """Formats a run as one line.

    Args:
        row: The run.
    """
    return (
        f"{row['backend']:12} {row['count']:7} {row['run']:9} in {row['seconds']:7.1f} s: "
        f"{row['memory_mib']:7.1f} MiB, {100 * row['growth']:+.1f}%; {row['threads']:+} threads, "
        f"{row['descriptors']:+} descriptors, {row['shared_files']:+} files in shared memory"
    )


if __name__ == "__main__":
    main()
