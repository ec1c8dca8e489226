"""``inferox serve`` asked for more than it can compute: what it still answers, and how soon it refuses the rest.

    python benchmarks/overload.py MODEL_DIRECTORY [--seconds 20] [--threads 2] [--times 2,10] [--json]

Two models are served in turn: MiniLM on ONNX Runtime, which computes on the same cores as everything else, and one that
sleeps 5 ms for each row, which leaves them to the server. Of each the peak is what 64 callers get, and a latency
without load is the 99th percentile at a tenth of it. The server may then take twice that (``--timeout``), and requests
come at multiples of the peak, whether those before are answered or not, each with one text of mixed length. Another
connection asks for the server's health all the while, and afterwards a lone caller, until it is answered as
without load. How long it takes from a start until everything is ready is measured first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import psutil
import sleeping_model
from offline import make_texts
from serving import start_server

from inferox.bench.http_connection import Connections
from inferox.bench.loops import FailedAskError, run_load

_SLEEP_S = 0.005
_STARTS = 5
_PROBES_EVERY_S = 0.05
_RECOVERS_WITHIN_S = 30.0


class Client:
    """Asks one server, and notes how long refusals and probes took.

    Args:
        port: Where it listens on loopback.
        texts: What is asked, in turns.
    """

    def __init__(self, port: int, texts: Sequence[str]) -> None:
        self._port = port
        self._requests = [_write(json.dumps({"model": "model", "input": [text]}).encode()) for text in texts]
        self.refused_s: list[float] = []
        self.unsaid = 0
        self.probed_s: list[float] = []

    def load(self, callers: int | None, rate_per_s: float | None, seconds: float) -> Any:
        """Sends requests for a while, by callers or at a rate; see ``run_load``."""
        self.refused_s, self.unsaid, self.probed_s = [], 0, []

        async def run() -> Any:
            connections, probing = (
                Connections("127.0.0.1", self._port, None),
                Connections("127.0.0.1", self._port, None),
            )

            async def ask(number: int) -> None:
                began_s = perf_counter()
                answer = await connections.ask(self._requests[number % len(self._requests)])
                if answer.status == HTTPStatus.OK:
                    return
                if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
                    self.refused_s.append(perf_counter() - began_s)
                    self.unsaid += "retry-after" not in answer.headers
                raise FailedAskError(f"HTTP {answer.status}")

            async def probe() -> None:
                while True:
                    began_s = perf_counter()
                    await probing.ask(b"GET /health/live HTTP/1.1\r\nhost: model\r\n\r\n")
                    self.probed_s.append(perf_counter() - began_s)
                    await asyncio.sleep(_PROBES_EVERY_S)

            prober = asyncio.create_task(probe())
            try:
                return await run_load(ask, callers, rate_per_s, seconds)
            finally:
                prober.cancel()
                connections.close()
                probing.close()

        return asyncio.run(run())

    def recover(self, within_s: float) -> float | None:
        """How long until a lone request is answered that fast again; ``None`` where it is not within half a minute."""

        async def run() -> float | None:
            connections = Connections("127.0.0.1", self._port, None)
            first_s = perf_counter()
            try:
                while (began_s := perf_counter()) < first_s + _RECOVERS_WITHIN_S:
                    answer = await connections.ask(self._requests[0])
                    if answer.status == HTTPStatus.OK and perf_counter() - began_s <= within_s:
                        return perf_counter() - first_s
                    await asyncio.sleep(0.01)
                return None
            finally:
                connections.close()

        return asyncio.run(run())


def _write(body: bytes) -> bytes:
    head = "POST /v1/embeddings HTTP/1.1\r\nhost: model\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a sentence-transformers model directory")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--times", default="2,10", help="multiples of the peak at which requests come")
    parser.add_argument(
        "--allowed", type=float, default=2, help="the server's timeout, as a multiple of that without load"
    )
    parser.add_argument("--only", default="", help="computes or sleeps")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    import inferox

    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "model.mlpkg"
        inferox.pack(options.model, package, backends=["onnxruntime"], precisions=["fp32"])
        sleeping_model.announce(package, _SLEEP_S)
        sources = {"computes": str(package), "sleeps": sleeping_model.SOURCE}
        report: dict[str, Any] = {"start": measure_start(str(package), options.threads), "loads": []}
        for name, source in sources.items():
            if options.only in name:
                report["loads"] += measure(name, source, options)
    print(json.dumps(report, indent=1)) if options.json else print_tables(report)


def measure_start(source: str, threads: int) -> dict[str, float]:
    """How long a start takes until the first answer, and what the front then holds."""
    seconds, front_mib = [], []
    for _ in range(_STARTS):
        server, port = start_server(source, threads)
        seconds.append(server.ready_s)
        Client(port, ["a text"]).load(1, None, 1)
        front_mib.append(psutil.Process(server.pid).memory_info().rss / 2**20)
        server.close()
    return {"median_s": statistics.median(seconds), "most_s": max(seconds), "front_mib": max(front_mib)}


def measure(name: str, source: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measures the peak and the latency without load, and then multiples of the peak."""
    texts = [" ".join(text.split()[:150]) for text in make_texts(2000, "mixed")]
    server, port = start_server(source, options.threads)
    try:
        client = Client(port, texts)
        client.load(64, None, 5)
        peak = _rate(client.load(64, None, options.seconds))
        calm_s = _p99(client.load(None, peak / 10, options.seconds).latencies_s)
    finally:
        server.close()
    rows = []
    for times in map(float, options.times.split(",")):
        server, port = start_server(source, options.threads, "--timeout", f"{options.allowed * calm_s:.4f}")
        try:
            client = Client(port, texts)
            client.load(64, None, 5)
            began_s = time.process_time()
            found = client.load(None, times * peak, options.seconds)
            own_cores = (time.process_time() - began_s) / options.seconds
            rows.append(
                {
                    "model": name,
                    "times": times,
                    "peak_per_s": peak,
                    "calm_p99_ms": 1000 * calm_s,
                    "goodput": _rate(found) / peak,
                    "answered_p99_ms": 1000 * _p99(found.latencies_s),
                    "of_calm": _p99(found.latencies_s) / calm_s,
                    "refused": len(client.refused_s),
                    "refused_p99_ms": 1000 * _p99(client.refused_s),
                    "without_retry_after": client.unsaid,
                    "failed_otherwise": {key: n for key, n in found.failed.items() if key != "HTTP 429"},
                    "own_cores": own_cores,
                    "probe_most_ms": 1000 * max(client.probed_s),
                    "recovered_s": client.recover(options.allowed * calm_s),
                }
            )
            print(rows[-1], file=sys.stderr)
        finally:
            server.close()
    return rows


def _rate(found: Any) -> float:
    return len(found.latencies_s) / (found.ended_s - found.began_s)


def _p99(seconds: Sequence[float]) -> float:
    return float(np.percentile(seconds, 99)) if len(seconds) else float("nan")


def print_tables(report: dict[str, Any]) -> None:
    """Prints what was measured."""
    from rich.console import Console
    from rich.table import Table

    begun = report["start"]
    ready = f"ready after {begun['median_s']:.2f} s (most {begun['most_s']:.2f} s)"
    table = Table(title=f"{ready}, front {begun['front_mib']:.0f} MiB")
    headings = (
        "model",
        "times",
        "peak/s",
        "goodput",
        "calm p99",
        "p99",
        "refused",
        "refused p99",
        "probe",
        "recovered",
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
            f"{row['calm_p99_ms']:.1f} ms",
            f"{row['answered_p99_ms']:.1f} ms",
            str(row["refused"]),
            f"{row['refused_p99_ms']:.1f} ms",
            f"{row['probe_most_ms']:.0f} ms",
            "no" if recovered is None else f"{recovered:.2f} s",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
