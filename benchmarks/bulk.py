"""Files of many rows: the rate against that of one call, memory over the run, and whether kills change the output.

    python benchmarks/bulk.py PACKAGE [--rows 1000000] [--kills 10] [--part-rows 32768] [--backend …]
        [--threads 2] [--folder DIR] [--json]

Short texts are written to a Parquet file. ``inferox run`` embeds them into Parquet parts twice: once without
interruption, and once with ``--resume``, killed (SIGKILL) again and again at random moments. Both must leave the same
bytes. Between these runs, a separate process embeds some of the same texts in one call; the rate of the files is
compared with its rate. The rate of a run counts from its first finished part on, since it loads the package before
that. The memory of its processes is read twice a second. Its growth is the median of the last tenth of the run, less
the median of the tenth that begins after a twentieth of it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from offline import make_texts

_GROUP_ROWS = 50_000
"""The number of rows that are made and written at a time."""

_ONE_CALL_TEXTS = 4000
_EVERY_S = 0.5
_WATCHED_EVERY_S = 0.02
_BEGUN, _TENTH = 0.05, 0.1
_MEBIBYTE = 2**20


@dataclass(frozen=True)
class Run:
    """One uninterrupted run.

    Attributes:
        seconds: The duration, loading included.
        rows_per_second: The rate from its first finished part on.
        memory: Samples of its processes' memory, twice a second: the progress so far, in seconds or files, and the
            bytes.
    """

    seconds: float
    rows_per_second: float
    memory: list[tuple[float, int]]

    def peak_bytes(self) -> int:
        """Returns the most memory that was held."""
        return max(held for _, held in self.memory)

    def growth_bytes(self) -> int:
        """Returns how much more memory was held in the last tenth than in the tenth after the first twentieth."""
        end = max(done for done, _ in self.memory) or 1
        first = [held for done, held in self.memory if _BEGUN <= done / end < _BEGUN + _TENTH]
        last = [held for done, held in self.memory if done / end >= 1 - _TENTH]
        return int(statistics.median(last) - statistics.median(first)) if first else 0


def main() -> None:
    """Runs the benchmark."""
    parser = make_parser(__doc__)
    parser.add_argument("--part-rows", type=int, default=32_768)
    parser.add_argument("--one-call", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one_call:
        print(measure_one_call(options))
        return
    if options.rows <= 2 * options.part_rows:
        parser.error("--rows must be more than two parts, so that a rate can be measured")
    with tempfile.TemporaryDirectory() as temporary:
        report = measure(options, options.folder or Path(temporary))
    print(json.dumps(report, indent=1) if options.json else describe(report))
    if not report["same_bytes"]:
        raise SystemExit("the killed run has left other bytes")


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Makes a parser with the options of a benchmark of many rows."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--backend", default="onnxruntime")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="a folder for the files (default: a temporary one)")
    parser.add_argument("--json", action="store_true")
    return parser


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Runs everything, and returns the figures."""
    texts = folder / "texts.parquet"
    write_texts(texts, options.rows)
    program = Path(sys.executable).with_name("inferox")
    command = [str(program), "run", options.package, "--input", str(texts), "--keep", "id"]
    command += ["--part-rows", str(options.part_rows), "--threads", str(options.threads), "--resume"]
    command += ["--backend", options.backend, "--precision", options.precision, "--output"]
    one_call = [ask_one_call(options)]
    run = run_once([*command, str(folder / "once")], folder / "once", options)
    one_call.append(ask_one_call(options))
    kills = run_killed([*command, str(folder / "killed")], folder / "killed", options)
    one_call.append(ask_one_call(options))
    once, killed = read_digests(folder / "once"), read_digests(folder / "killed")
    return {
        "rows": options.rows,
        "seconds": run.seconds,
        "rows_per_second": run.rows_per_second,
        "one_call_per_second": one_call,
        "share_of_one_call": run.rows_per_second / statistics.median(one_call),
        "peak_bytes": run.peak_bytes(),
        "growth_bytes": run.growth_bytes(),
        "kills_at_parts": kills,
        "same_bytes": once == killed,
        "files": len(once),
    }


def write_texts(path: Path, rows: int) -> None:
    """Writes short texts, some of which are equal, to a Parquet file."""
    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for begin in range(0, rows, _GROUP_ROWS):
            count = min(_GROUP_ROWS, rows - begin)
            columns = {"id": range(begin, begin + count), "text": make_texts(count, "mixed", seed=begin)}
            writer.write_table(pa.table(columns, schema=schema))


def run_once(command: list[str], output: Path, options: argparse.Namespace) -> Run:
    """Runs without interruption, and reads the memory."""
    begin, first_part, memory = time.perf_counter(), None, list[tuple[float, int]]()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        now = time.perf_counter()
        if first_part is None and count_parts(output):
            first_part = now
        if now - begin >= len(memory) * _EVERY_S:
            memory.append((now - begin, sum(_read_memory(process))))
        time.sleep(_WATCHED_EVERY_S)
    end = time.perf_counter()
    if process.returncode:
        raise SystemExit("inferox run failed")
    if first_part is None:
        raise SystemExit("the run was over too soon to be measured: give more rows")
    return Run(end - begin, (options.rows - options.part_rows) / (end - first_part), memory)


def run_killed(command: list[str], output: Path, options: argparse.Namespace) -> list[int]:
    """Runs until the output is complete, killed at random moments; returns the finished parts at each kill."""
    draw, total = random.Random(0), -(-options.rows // options.part_rows)  # noqa: S311 - varied, not secret
    kills = []
    for place in sorted(draw.randrange(total) for _ in range(options.kills)):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
        while count_parts(output) < place:
            if process.poll() is not None:
                raise SystemExit("inferox run ended before it was killed")
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 3))
        process.kill()
        process.wait()
        kills.append(count_parts(output))
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    return kills


def ask_one_call(options: argparse.Namespace) -> float:
    """Returns the rate of one call, measured in a separate process."""
    words = ["--one-call", "--rows", options.rows, "--threads", options.threads]
    words += ["--backend", options.backend, "--precision", options.precision]
    command = [sys.executable, __file__, options.package, *map(str, words)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)  # noqa: S603


def measure_one_call(options: argparse.Namespace) -> float:
    """Returns the texts per second of ``embed`` with some of the first texts of the file."""
    import inferox

    texts = make_texts(min(_GROUP_ROWS, options.rows), "mixed", seed=0)[:_ONE_CALL_TEXTS]
    with inferox.load(options.package, options.backend, precision=options.precision, threads=options.threads) as model:
        model.embed(texts[:200], truncate="cut")
        begin = time.perf_counter()
        model.embed(texts, truncate="cut")
        return len(texts) / (time.perf_counter() - begin)


def count_parts(output: Path) -> int:
    """Counts the finished parts of an output."""
    return sum(1 for _ in output.glob("part-*.parquet"))


def read_digests(output: Path) -> dict[str, str]:
    """Returns the SHA-256 of each file of an output."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(output.iterdir())}


def _read_memory(process: psutil.Process) -> Iterator[int]:
    """Returns the resident memory of a process and its children."""
    try:
        for each in (process, *process.children(recursive=True)):
            yield each.memory_info().rss
    except psutil.NoSuchProcess:  # it has just ended
        return


def describe(report: dict[str, Any]) -> str:
    """Describes the measurements in sentences."""
    rates = ", ".join(f"{rate:.0f}" for rate in report["one_call_per_second"])
    kills = ", ".join(map(str, report["kills_at_parts"]))
    peak, growth = (report[name] / _MEBIBYTE for name in ("peak_bytes", "growth_bytes"))
    bytes_left = "the same bytes" if report["same_bytes"] else "OTHER BYTES"
    lines = [
        f"{report['rows']:,} rows in {report['seconds']:.0f} s, with loading",
        f"{report['rows_per_second']:.0f} rows/s from the first part on, {report['share_of_one_call']:.0%} of one call",
        f"one call: {rates} texts/s before, between and after",
        f"memory: {peak:.0f} MiB at most, {growth:+.1f} MiB from after the first twentieth to the end",
        f"killed after {kills} parts: {report['files']} files, {bytes_left}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
