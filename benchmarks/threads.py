"""Threads that call one model, eight by default, against one thread with the same rows in one call.

    python benchmarks/threads.py PACKAGE [--backends torch,onnxruntime,openvino,candle] [--threads 2] [--callers 8]
        [--rows 64] [--rounds 7] [--json]

Each caller has its own rows. ``compute`` is the contract's own call: one batch of rows of equal length, against a batch
for each caller. ``embed`` is that of a loaded model with texts of mixed lengths, where each call plans its own batches,
and ``infer`` the same texts through an engine, which forms batches from those of all callers; both are compared with
one ``embed`` of all texts. The table gives the throughput of the callers as a share of that of the one call, from the
medians of rounds in turns, the largest difference between the answers, and the processor time of the callers per
second, which may not exceed the thread budget but by what callers do beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from offline import make_texts
from tables import show

import inferox
from inferox import Engine, EngineConfig
from inferox.core import Batch, to_cu_seqlens
from inferox.measuring.timing import Spread, time_call, time_in_turns

_TOKENS = 24
"""The length of the rows of ``compute``: the mean of the texts."""

Vectors = npt.NDArray[np.float32]

Call = Callable[[range], Vectors]
"""Computes a range of the rows."""


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", help="a package of the task embed")
    parser.add_argument("--backends", default="torch,onnxruntime,openvino,candle")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--rows", type=int, default=64, help="the rows of each caller")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for backend in options.backends.split(","):
        print(backend, file=sys.stderr)
        rows += measure(backend, options)
    print(json.dumps(rows, indent=1)) if options.json else print_table(rows, options)


def measure(backend: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measures one backend in fp32; returns a row for each of ``compute``, ``embed`` and ``infer``."""
    total = options.callers * options.rows
    texts = make_texts(total, "mixed")
    with (
        inferox.load(options.package, backend, precision="fp32", threads=options.threads) as model,
        Engine(EngineConfig(threads=options.threads)) as engine,
        ThreadPoolExecutor(options.callers) as pool,
    ):
        engine.load(options.package, name="model", backend=backend, precision="fp32")
        batch, output = make_batch(model.task.encode(texts), total), model.signature.output_names[0]
        parts = [range(start, start + options.rows) for start in range(0, total, options.rows)]
        batches = {rows: batch.select(rows) for rows in (range(total), *parts)}

        def compute(rows: range) -> Vectors:
            return np.asarray(model.model.compute(batches[rows]).of_tokens(output)).reshape(len(rows), -1)

        def embed(rows: range) -> Vectors:
            return model.embed(texts[rows.start : rows.stop])

        def infer(rows: range) -> Vectors:
            answers: Vectors = engine.infer("model", texts[rows.start : rows.stop]).results
            return answers

        calls: dict[str, tuple[Call, Call]] = {
            "compute": (compute, compute),
            "embed": (embed, embed),
            "infer": (embed, infer),
        }
        return [
            {"backend": backend, "call": name, **compare(one, each, parts, pool, options.rounds)}
            for name, (one, each) in calls.items()
        ]


def make_batch(encoded: Batch, rows: int) -> Batch:
    """Cuts the tokens of encoded texts into rows of equal length."""
    lengths = np.full(rows, _TOKENS)
    ragged = {name: np.resize(array, rows * _TOKENS) for name, array in encoded.ragged.items()}
    return Batch(ragged, encoded.dense, to_cu_seqlens(lengths), encoded.pad_values)


def compare(one: Call, each: Call, parts: Sequence[range], pool: Executor, rounds: int) -> dict[str, float]:
    """Compares one call with all rows to calls with some of them, made at once.

    Returns:
        The throughput of the calls as a share of that of the one; the cores that they keep busy; and the largest
        difference between their answers.
    """
    everything = range(parts[-1].stop)
    whole, divided = one(everything), np.concatenate(list(pool.map(each, parts)))
    cores: list[float] = []

    def call_at_once() -> list[float]:
        began_cpu_s = time.process_time()
        seconds = time_call(lambda: list(pool.map(each, parts)))
        cores.append((time.process_time() - began_cpu_s) / seconds)
        return [seconds]

    seconds = time_in_turns({"one": lambda: [time_call(lambda: one(everything))], "at once": call_at_once}, rounds)
    medians = {name: Spread.of(found).median for name, found in seconds.items()}
    return {
        "share": medians["one"] / medians["at once"],
        "share_of_least": min(seconds["one"]) / min(seconds["at once"]),
        "cores": Spread.of(cores).median,
        "max_abs": float(np.abs(whole - divided).max()),
    }


def print_table(rows: Sequence[dict[str, Any]], options: argparse.Namespace) -> None:
    """Prints the results."""
    from rich.table import Table

    title = (
        f"{options.callers} callers of {options.rows} rows, {options.threads} threads, {options.rounds} rounds in turns"
    )
    table = Table(title=title)
    for heading in ("backend", "call", "of one call", "by the least times", "cores", "max abs"):
        table.add_column(heading)
    for row in rows:
        shares = f"{row['share']:.2f}", f"{row['share_of_least']:.2f}"
        table.add_row(row["backend"], row["call"], *shares, f"{row['cores']:.2f}", f"{row['max_abs']:.1e}")
    show(table)


if __name__ == "__main__":
    main()
