"""Many callers with one text each through the engine, against one call with all texts, and sentence-transformers.

    python benchmarks/engine.py MODEL_DIRECTORY [--callers 64] [--texts 2000] [--rounds 5] [--threads 2]
        [--isolation process] [--workers 1] [--json]

The model is packed for several backends. For each artifact, one process embeds all texts in one call. Another has a
coroutine for each caller, each with one request of one text at a time (``Engine.ainfer``), until all texts are
answered. They take turns with sentence-transformers, which embeds all texts in one call, and with large matrix
products, which give the machine's limit as in ``offline.py``. A lone caller's request of 16 tokens is measured too,
from a thread and from a coroutine: the time that it takes beyond the model's own computation.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from offline import (
    LIMIT,
    PEER,
    Embed,
    Runner,
    agreement,
    make_texts,
    open_artifact,
    open_peer,
    precision_of,
    serve_limit,
)
from product_limit import PRECISIONS, count_operations
from tables import show

from inferox import Engine, EngineConfig
from inferox.core import Batch
from inferox.measuring.timing import Spread, time_call, time_in_turns

ENGINE = "engine "
"""The prefix of the names of runners that go through the engine."""

_MORE = ("callers", "isolation", "workers")
"""The options that only apply to runners of the engine."""

_CALLS = 200
"""The number of requests of a lone caller."""


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a sentence-transformers model directory")
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--mix", default="mixed", help="english or mixed")
    parser.add_argument("--lengths", default="mixed", help="mixed, long or uniform")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--backends", default="torch,onnxruntime,openvino", help="the backends, separated by commas")
    parser.add_argument("--precisions", default="fp32,bf16,int8")
    parser.add_argument("--only", default="", help="only measure artifacts whose name contains this")
    parser.add_argument("--isolation", default="thread", help="thread, or process for worker processes")
    parser.add_argument("--workers", type=int, default=1, help="the number of worker processes")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options)
        return

    import inferox

    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "model.mlpkg"
        packed = inferox.pack(
            options.model, package, backends=options.backends.split(","), precisions=options.precisions.split(",")
        )
        artifacts = [item.artifact for item in packed.evidence if options.only in item.artifact]
        report = compare(options, str(package), artifacts)
    print(json.dumps(report, indent=1)) if options.json else print_table(report, options)


def compare(options: argparse.Namespace, package: str, artifacts: Sequence[str]) -> dict[str, Any]:
    """Runs everything in turn.

    Returns:
        For each artifact, the texts per second in one call and through the engine, their ratio, the ratio of the engine
        to sentence-transformers, its share of the machine's limit, the agreement of the two, and the milliseconds of a
        lone caller beyond the computation.
    """
    names = [PEER, *artifacts, *(ENGINE + name for name in artifacts), *(LIMIT + name for name in PRECISIONS)]
    runners = {
        name: Runner(name, options.model if name == PEER else package, options, script=__file__, more=_MORE)
        for name in names
    }
    seconds = time_in_turns(
        {name: runner.take_turn for name, runner in runners.items()},
        options.rounds,
        progress=lambda number: print(f"round {number + 1} of {options.rounds}", file=sys.stderr),
    )
    for runner in runners.values():
        runner.close()
    medians = {name: Spread.of(rounds).median for name, rounds in seconds.items()}
    operations = count_operations(options.model, make_texts(options.texts, options.mix, options.lengths))
    return {
        name: {
            "one_call_texts_per_second": options.texts / medians[name],
            "engine_texts_per_second": options.texts / medians[ENGINE + name],
            "engine_to_one_call": medians[name] / medians[ENGINE + name],
            "engine_to_peer": medians[PEER] / medians[ENGINE + name],
            "share_of_limit": operations / medians[LIMIT + precision_of(name)] / medians[ENGINE + name],
            **agreement(runners[name].vectors, runners[ENGINE + name].vectors),
            **runners[ENGINE + name].facts,
        }
        for name in artifacts
    }


def serve(options: argparse.Namespace) -> None:
    """Runs the other side of a ``Runner``."""
    if options.serve.startswith(LIMIT):
        serve_limit(options)
        return
    texts = make_texts(options.texts, options.mix, options.lengths)
    facts: dict[str, float] = {}
    embed: Embed
    if options.serve == PEER:
        embed = open_peer(options.model, options.threads)
    elif options.serve.startswith(ENGINE):
        options.serve = options.serve.removeprefix(ENGINE)
        embed, facts = open_engine(options)
    else:
        embed = open_artifact(options).embed
    embed(texts)
    print(json.dumps({"vectors": embed(texts[:200]).tolist(), "facts": facts}), flush=True)
    for _ in sys.stdin:
        print(time_call(lambda: embed(texts)), flush=True)


def open_engine(options: argparse.Namespace) -> tuple[Embed, dict[str, float]]:
    """Opens an engine; returns a function that has its callers embed texts, and the figures of a lone caller."""
    config = EngineConfig(threads=options.threads, isolation=options.isolation, workers=options.workers)
    engine, loaded = Engine(config), open_artifact(options)
    if options.isolation == "process":
        backend, _, precision, layout = options.serve.split("/")
        info = engine.load(options.model, name="model", backend=backend, precision=precision)
        if not info.artifact.endswith(f"{precision}/{layout}"):
            sys.exit(f"{options.serve} was to be measured, but the engine has loaded {info.artifact}")
    else:
        engine.register(loaded, name="model")

    async def embed_all(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        left, found = iter(enumerate(texts)), [np.empty(0, np.float32)] * len(texts)

        async def call() -> None:
            for index, text in left:
                found[index] = (await engine.ainfer("model", [text])).results[0]

        await asyncio.gather(*(call() for _ in range(options.callers)))
        return np.stack(found)

    facts = asyncio.run(measure_lone_caller(engine, loaded.task.encode([_SHORT]), loaded.model.compute))
    return lambda texts: asyncio.run(embed_all(texts)), facts


_SHORT = "the weather in the city is fine today, they say, and no rain comes"
"""A text of 16 tokens of all-MiniLM-L6-v2."""


async def measure_lone_caller(engine: Engine, batch: Batch, compute: Callable[[Batch], Any]) -> dict[str, float]:
    """Returns the median milliseconds of a request of one short text beyond the model's own computation of it."""
    times: dict[str, list[float]] = {"bare": [], "infer": [], "ainfer": []}
    for _ in range(_CALLS):
        times["bare"].append(time_call(lambda: compute(batch)))
        times["infer"].append(time_call(lambda: engine.infer("model", [_SHORT])))
        loop = asyncio.get_running_loop()
        began = loop.time()
        await engine.ainfer("model", [_SHORT])
        times["ainfer"].append(loop.time() - began)
    bare, infer, ainfer = (1000 * statistics.median(times[name]) for name in ("bare", "infer", "ainfer"))
    return {"bare_ms": bare, "infer_extra_ms": infer - bare, "ainfer_extra_ms": ainfer - bare}


def print_table(report: dict[str, Any], options: argparse.Namespace) -> None:
    """Prints the results, the fastest first."""
    from rich.table import Table

    table = Table(title=f"{options.callers} callers, {options.threads} threads, median of {options.rounds} rounds")
    table.add_column("artifact", overflow="fold")
    for heading in ("texts/s", "of one call", "of peer", "of limit", "max abs", "alone ms", "+ infer", "+ ainfer"):
        table.add_column(heading)
    for name, row in sorted(report.items(), key=lambda item: -item[1]["engine_texts_per_second"]):
        table.add_row(
            name,
            f"{row['engine_texts_per_second']:.0f}",
            f"{row['engine_to_one_call']:.0%}",
            f"{row['engine_to_peer']:.2f}x",
            f"{row['share_of_limit']:.0%}",
            f"{row['max_abs']:.1e}",
            f"{row['bare_ms']:.2f}",
            f"{row['infer_extra_ms']:.2f}",
            f"{row['ainfer_extra_ms']:.2f}",
        )
    show(table)


if __name__ == "__main__":
    main()
