"""``inferox serve`` with more requests than it can compute: what it still answers, and how soon it refuses the rest.

    python benchmarks/overload.py MODEL [--seconds 20] [--threads 2] [--times 2,10] [--only computes] [--json]

MODEL is a sentence-transformers directory, which is packed first, or its package.

Two models are served in turn: MiniLM on ONNX Runtime, which computes on the same cores as everything else, and one
that sleeps 5 ms for each row, which leaves the cores to the server. For each, the peak is the rate of 64 callers, and
the latency without load is the 99th percentile at a tenth of that. The server's ``--timeout`` is then twice this
latency (``--allowed``). The peak in time is the highest rate of fewer callers whose 99th percentile is within that
timeout: few rows in progress make small batches, which have the fixed cost of a batch each. Then requests of one text
of mixed length are sent at multiples of the peak, whether the previous ones are answered or not. Another connection
probes the server's health all the while. Afterwards a lone caller sends requests, until it is answered as fast as
without load. The client shares the server's cores: the report says how many the client, the front and the worker
used. The time from the start until everything is ready is measured first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from time import perf_counter
from typing import Any, Self

import numpy as np
import psutil
import sleeping_model
from lean_client import LeanClient
from offline import make_texts
from serving import start_server
from tables import show

from inferox.bench.http_connection import Connections

_SLEEP_S = 0.005
_STARTS = 5
_CALLERS_IN_TIME = (2, 4, 6, 8, 12, 16, 24, 32, 48)
"""The numbers of callers among which that of the peak in time is sought."""

_RECOVERS_WITHIN_S = 30.0


def recover(port: int, request: bytes, within_s: float) -> float | None:
    """Returns the seconds until a lone request is answered that fast again; ``None`` after half a minute."""

    async def run() -> float | None:
        connections = Connections("127.0.0.1", port, None)
        first_s = perf_counter()
        try:
            while (began_s := perf_counter()) < first_s + _RECOVERS_WITHIN_S:
                answer = await connections.ask(request)
                if answer.status == HTTPStatus.OK and perf_counter() - began_s <= within_s:
                    return perf_counter() - first_s
                await asyncio.sleep(0.01)
            return None
        finally:
            connections.close()

    return asyncio.run(run())


def _write(text: str) -> bytes:
    body = json.dumps({"model": "model", "input": [text]}).encode()
    head = "POST /v1/embeddings HTTP/1.1\r\nhost: model\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a sentence-transformers model directory, or its package")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--times", default="2,10", help="the rates of requests, as multiples of the peak")
    parser.add_argument(
        "--allowed", type=float, default=2, help="the server's timeout, as a multiple of the latency without load"
    )
    parser.add_argument("--only", default="", help="computes or sleeps")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    import inferox

    with tempfile.TemporaryDirectory() as folder:
        package = Path(options.model)
        if package.is_dir():
            package = Path(folder) / "model.mlpkg"
            inferox.pack(options.model, package, backends=["onnxruntime"], precisions=["fp32"])
        sleeping_model.announce(package, _SLEEP_S)
        sources = {"computes": str(package), "sleeps": sleeping_model.SOURCE}
        report: dict[str, Any] = {"start": None, "loads": []}
        if not options.only:
            report["start"] = measure_start(str(package), options.threads)
        for name, source in sources.items():
            if options.only in name:
                report["loads"] += measure(name, source, options)
    print(json.dumps(report, indent=1)) if options.json else print_tables(report)


def measure_start(source: str, threads: int) -> dict[str, float]:
    """Measures the time from the start to the first answer, and the memory that the front then holds."""
    seconds, front_mib = [], []
    for _ in range(_STARTS):
        server, port = start_server(source, threads)
        seconds.append(server.ready_s)
        LeanClient(port, [_write("a text")]).ask_by_callers(1, 1)
        front_mib.append(psutil.Process(server.pid).memory_info().rss / 2**20)
        server.close()
    return {"median_s": statistics.median(seconds), "most_s": max(seconds), "front_mib": max(front_mib)}


def measure(name: str, source: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measures the peak and the latency without load, and then multiples of the peak."""
    requests = [_write(" ".join(text.split()[:100])) for text in make_texts(2000, "mixed")]  # which fit the model
    server, port = start_server(source, options.threads)
    try:
        client = LeanClient(port, requests)
        client.ask_by_callers(64, 5)
        with Cores(server.pid) as peak_cores:
            at_peak = client.ask_by_callers(64, options.seconds)
        peak = at_peak.rate_per_s
        calm_s = _p99(client.ask_at_rate(peak / 10, options.seconds).latencies_s)
        peak_in_time, callers = measure_peak_in_time(client, options.allowed * calm_s, options.seconds)
    finally:
        server.close()
    print(
        f"{name}: peak {peak:.1f}/s with {peak_cores.said(at_peak.own_cores)}, calm {calm_s:.4f} s, "
        f"peak in time {peak_in_time:.1f}/s with {callers} callers",
        file=sys.stderr,
    )
    rows = []
    for times in map(float, options.times.split(",")):
        server, port = start_server(source, options.threads, "--timeout", f"{options.allowed * calm_s:.4f}")
        try:
            client = LeanClient(port, requests)
            client.ask_by_callers(64, 5)
            with Cores(server.pid) as cores:
                found = client.ask_at_rate(times * peak, options.seconds)
            rows.append(
                {
                    "model": name,
                    "times": times,
                    "peak_per_s": peak,
                    "peak_in_time_per_s": peak_in_time,
                    "calm_p99_ms": 1000 * calm_s,
                    "goodput": found.rate_per_s / peak,
                    "goodput_of_peak_in_time": found.rate_per_s / peak_in_time,
                    "answered_p99_ms": 1000 * _p99(found.latencies_s),
                    "of_calm": _p99(found.latencies_s) / calm_s,
                    "refused": len(found.refused_s),
                    "refused_p99_ms": 1000 * _p99(found.refused_s),
                    "without_retry_after": found.unsaid,
                    "failed_otherwise": {key: n for key, n in found.failed.items() if n and key != "HTTP 429"},
                    "client_late_p99_ms": 1000 * _p99(found.late_s),
                    "client_cores": found.own_cores,
                    "front_cores": cores.front,
                    "worker_cores": cores.workers,
                    "probe_most_ms": 1000 * max(found.probed_s),
                    "recovered_s": recover(port, requests[0], options.allowed * calm_s),
                }
            )
            print(rows[-1], file=sys.stderr)
        finally:
            server.close()
    return rows


def measure_peak_in_time(client: LeanClient, within_s: float, seconds: float) -> tuple[float, int]:
    """Measures the highest rate of waiting callers whose 99th percentile is within a time.

    Returns:
        The answers per second, and the number of callers; those of the fewest callers if none are within the time.
    """
    best = 0.0, 0
    for callers in _CALLERS_IN_TIME:
        found = client.ask_by_callers(callers, seconds)
        if best[1] and _p99(found.latencies_s) > within_s:
            break
        best = max(best, (found.rate_per_s, callers))
    return best


class Cores:
    """The number of cores that a server used, on average, during a block.

    Args:
        pid: The process of its front.

    Attributes:
        front: The cores that the front used.
        workers: The cores that all processes it has started used.
    """

    def __init__(self, pid: int) -> None:
        self._front = psutil.Process(pid)
        self.front = self.workers = 0.0

    def __enter__(self) -> Self:
        self._began_s, self._before = perf_counter(), self._read()
        return self

    def __exit__(self, *error: object) -> None:
        seconds, after = perf_counter() - self._began_s, self._read()
        self.front, self.workers = (
            (now_s - then_s) / seconds for now_s, then_s in zip(after, self._before, strict=True)
        )

    def said(self, client: float) -> str:
        """Describes these figures and the client's."""
        return f"cores: client {client:.2f}, front {self.front:.2f}, worker {self.workers:.2f}"

    def _read(self) -> tuple[float, float]:
        workers = [process.cpu_times() for process in self._front.children(recursive=True)]
        own = self._front.cpu_times()
        return own.user + own.system, sum(times.user + times.system for times in workers)


def _p99(seconds: Sequence[float]) -> float:
    return float(np.percentile(seconds, 99)) if len(seconds) else float("nan")


def print_tables(report: dict[str, Any]) -> None:
    """Prints the results."""
    from rich.table import Table

    table = Table()
    if (begun := report["start"]) is not None:
        ready = f"ready after {begun['median_s']:.2f} s (most {begun['most_s']:.2f} s)"
        table.title = f"{ready}, front {begun['front_mib']:.0f} MiB"
    headings = (
        "model",
        "times",
        "peak/s",
        "goodput",
        "in time",
        "calm p99",
        "p99",
        "refused",
        "refused p99",
        "probe",
        "recovered",
        "client, front, worker",
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "model" else "right", no_wrap=True)
    for row in report["loads"]:
        recovered = row["recovered_s"]
        table.add_row(
            row["model"],
            f"{row['times']:g}x",
            f"{row['peak_per_s']:.0f}",
            f"{row['goodput']:.0%}",
            f"{row['goodput_of_peak_in_time']:.0%}",
            f"{row['calm_p99_ms']:.1f} ms",
            f"{row['answered_p99_ms']:.1f} ms",
            str(row["refused"]),
            f"{row['refused_p99_ms']:.1f} ms",
            f"{row['probe_most_ms']:.0f} ms",
            "no" if recovered is None else f"{recovered:.2f} s",
            f"{row['client_cores']:.2f}, {row['front_cores']:.2f}, {row['worker_cores']:.2f}",
        )
    show(table)


if __name__ == "__main__":
    main()
