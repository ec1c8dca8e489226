"""Rows on a local Ray cluster: the rate against that of one call, memory over the run, and what kills change.

    python benchmarks/bulk_ray.py PACKAGE [--rows 1000000] [--kills 10] [--backend …] [--threads 2] [--actors 2]
        [--folder DIR] [--json]

Ray Data reads short texts from a Parquet file, has actors answer them, which share the threads, and writes Parquet
files: once without interruption, and once while an actor is killed (SIGKILL) again and again at random moments.
``inferox run`` embeds the same texts. Both outputs are compared with its rows and vectors: they have the same bits,
except for rounding where a batch has other rows. Rates are measured as in ``bulk.py``; the memory is that of all
actors, without Ray's object store, which all processes map. Its growth is the median of the last tenth of the rows
less that of the tenth after the first twentieth: by rows, as starting takes Ray a good part of a short run.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import ray

from bulk import Run, ask_one_call, make_parser, write_texts
from inferox.bulk import BulkOptions
from inferox.bulk.windows import WINDOW_ROWS
from inferox.core import counted
from inferox.integrations.ray import RowActor, answer_rows

_EVERY_S = 0.5
_WATCHED_EVERY_S = 0.05
_DELAY_S = 3
"""An actor is killed within this time after as many files were written as was drawn."""

_OBJECTS_BYTES = 400_000_000
_MEBIBYTE = 2**20


def main() -> None:
    """Runs the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument("--actors", type=int, help="the actors, which share the threads (default: one for each thread)")
    options = parser.parse_args()
    options.actors = options.actors or options.threads
    if not 1 <= options.actors <= options.threads or options.threads % options.actors:
        parser.error("--threads must be a multiple of --actors, which share them")
    # Ray says on the standard output what it notices of its workers.
    with redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as temporary:
        report = measure(options, options.folder or Path(temporary))
    print(json.dumps(report, indent=1) if options.json else describe(report))


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Runs everything, and returns the figures."""
    (folder / "texts").mkdir()
    write_texts(folder / "texts" / "texts.parquet", options.rows)
    one_call = [ask_one_call(options)]
    # Two cores, as Ray counts, are for the tasks that read, divide and write.
    ray.init(
        num_cpus=options.threads + 2,
        include_dashboard=False,
        object_store_memory=_OBJECTS_BYTES,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": str(Path(sys.modules["inferox"].__path__[0]).parent)}},
    )
    once, _ = run_watched(options, folder / "texts", folder / "once", kills=0)
    _, kills = run_watched(options, folder / "texts", folder / "killed", kills=options.kills)
    ray.shutdown()
    one_call.append(ask_one_call(options))
    program = Path(sys.executable).with_name("inferox")
    words = ["run", options.package, "--input", str(folder / "texts"), "--output", str(folder / "files")]
    words += ["--keep", "id", "--threads", str(options.threads)]
    words += ["--backend", options.backend, "--precision", options.precision]
    subprocess.run([str(program), *words], check=True, capture_output=True)  # noqa: S603
    expected = read_vectors(folder / "files", options.rows)
    return {
        "rows": options.rows,
        "seconds": once.seconds,
        "rows_per_second": once.rows_per_second,
        "one_call_per_second": one_call,
        "share_of_one_call": once.rows_per_second / statistics.median(one_call),
        "actors": options.actors,
        "peak_bytes": once.peak_bytes(),
        "growth_bytes": once.growth_bytes(),
        "kills": kills,
        "once": compare(read_vectors(folder / "once", options.rows), expected),
        "killed": compare(read_vectors(folder / "killed", options.rows), expected),
    }


def run_watched(options: argparse.Namespace, texts: Path, output: Path, kills: int) -> tuple[Run, int]:
    """Answers all texts, and reads the actors' memory, or kills one at random moments.

    Returns:
        The run, with the memory after each number of files, and how often an actor was killed.
    """
    answered = answer_rows(
        ray.data.read_parquet(str(texts)),
        str(Path(options.package).resolve()),
        threads=options.threads // options.actors,
        actors=options.actors,
        options=BulkOptions(keep=("id",)),
        load_options={"backend": options.backend, "precision": options.precision},
    )
    draw = random.Random(0)  # noqa: S311 - varied, not secret
    total = -(-options.rows // WINDOW_ROWS)
    places = sorted((draw.randrange(total), draw.uniform(0, _DELAY_S)) for _ in range(kills))
    begin = due = time.perf_counter()
    memory, killed = list[tuple[float, int]](), 0
    first: tuple[float, list[Path]] | None = None
    writing = threading.Thread(target=answered.write_parquet, args=(str(output),))
    writing.start()
    while writing.is_alive():
        now, files = time.perf_counter(), list(output.glob("*.parquet"))
        if first is None and files:
            first = now, files
        if now >= due:
            due = now + _EVERY_S
            # Before the first actor, and while a killed one is replaced, there is none to be read.
            held = sum(map(read_private_memory, find_actors()))
            memory += [(len(files), held)] if held else []
        if places and len(files) >= places[0][0] and kill_actor(draw, places[0][1]):
            places.pop(0)
            killed += 1
        time.sleep(_WATCHED_EVERY_S)
    end = time.perf_counter()
    if first is None:
        raise SystemExit("the run was over too soon to be measured: give more rows")
    before = sum(pq.read_metadata(file).num_rows for file in first[1])
    return Run(end - begin, (options.rows - before) / (end - first[0]), memory), killed


def kill_actor(draw: random.Random, delay_s: float) -> bool:
    """Kills one of the actors after a delay; returns False if none is running then."""
    actors = list(find_actors())
    if not actors:
        return False
    time.sleep(delay_s)
    actor = draw.choice(actors)
    try:
        actor.kill()
    except psutil.NoSuchProcess:  # the run was over before
        return False
    actor.wait()
    return True


def find_actors() -> Iterator[psutil.Process]:
    """Yields the processes of the actors that answer rows."""
    for process in psutil.Process().children(recursive=True):
        try:
            if RowActor.__name__ in " ".join(process.cmdline()):
                yield process
        except psutil.NoSuchProcess:  # it has just ended
            continue


def read_private_memory(process: psutil.Process) -> int:
    """Reads the bytes that a process shares with no other; 0 if it has just ended."""
    try:
        found = process.memory_info()
    except psutil.NoSuchProcess:
        return 0
    return int(found.rss - found.shared)


def read_vectors(output: Path, rows: int) -> npt.NDArray[np.float32]:
    """Reads the vectors of an output by their ids; each id must be there once.

    Args:
        output: The folder.
        rows: The number of rows.

    Returns:
        The vectors in the order of the ids; shape ``[rows, dimension]``.
    """
    table = pq.read_table(output, columns=["id", "embedding"]).combine_chunks()
    ids = table.column("id").to_numpy()
    if not np.array_equal(np.sort(ids), np.arange(rows)):
        raise SystemExit(f"{output.name} does not have every row once")
    column = table.column("embedding")
    chunk = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    vectors = chunk.flatten().to_numpy().reshape(rows, -1)
    return vectors[np.argsort(ids)]


def compare(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> dict[str, float]:
    """Compares vectors.

    Args:
        found: Shape ``[rows, dimension]``.
        expected: Shape ``[rows, dimension]``.

    Returns:
        The largest difference, and the share of rows with the same bits.
    """
    return {
        "largest_difference": float(np.abs(found - expected).max()),
        "same_bits": float((found == expected).all(axis=1).mean()),
    }


def describe(report: dict[str, Any]) -> str:
    """Describes the measurements in sentences."""
    rates = ", ".join(f"{rate:.0f}" for rate in report["one_call_per_second"])
    peak, growth = (report[name] / _MEBIBYTE for name in ("peak_bytes", "growth_bytes"))
    lines = [
        f"{report['rows']:,} rows in {report['seconds']:.0f} s, with loading",
        f"{report['rows_per_second']:.0f} rows/s from the first file on, {report['share_of_one_call']:.0%} of one call",
        f"{counted(report['actors'], 'actor')}; one call: {rates} texts/s before and after",
        f"memory of the actors: {peak:.0f} MiB at most, {growth:+.1f} MiB from after the first twentieth to the end",
    ]
    for name, text in (("once", "uninterrupted"), ("killed", f"killed {report['kills']} times")):
        found = report[name]
        lines.append(
            f"{text}: every row once, {found['same_bits']:.2%} with the bits of inferox run, the others within "
            f"{found['largest_difference']:.1g}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
