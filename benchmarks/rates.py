"""Latency at fixed rates: ``inferox serve``, infinity-emb, and LitServe with sentence-transformers, in turn.

    python benchmarks/rates.py MODEL_DIRECTORY --peers PYTHON [--shares 0.5,0.8] [--seconds 10] [--rounds 3] [--json]

Requests of one text of mixed length are sent at random times, whether the previous ones are answered or not, and their
latencies count from when they were due (``inferox bench``). The rates are shares of the faster peer's rate with 64
callers. Servers and their threads are as in ``serving.py``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from serving import ARTIFACTS, Server, open_servers
from tables import show

import inferox
from inferox.bench import LoadStep
from inferox.bench.serving import bench_server

_CALLERS = 64


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a sentence-transformers model directory")
    parser.add_argument("--peers", required=True, help="the Python of an environment with infinity-emb and LitServe")
    parser.add_argument("--shares", default="0.5,0.8")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.only = ""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "model.mlpkg"
        inferox.pack(
            options.model, package, backends=["torch", "onnxruntime", "openvino"], precisions=["fp32", "bf16", "int8"]
        )
        servers = open_servers(options, package)
        try:
            rows = measure(servers, options)
        finally:
            for server in servers:
                server.close()
    print(json.dumps(rows, indent=1)) if options.json else print_table(rows)


def measure(servers: list[Server], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Finds the peak of the faster peer, and loads every server at shares of it.

    Returns:
        A row for each server and share: the medians of the rounds, the latencies in milliseconds.
    """
    for server in servers:
        ask(server, 3, callers=[_CALLERS])
    peers = [server for server in servers if server.name not in ARTIFACTS]
    peak = max(ask(server, options.seconds, callers=[_CALLERS]).answered_per_s for server in peers)
    rows = []
    for share in map(float, options.shares.split(",")):
        steps: dict[str, list[LoadStep]] = {server.name: [] for server in servers}
        for number in range(options.rounds):
            print(f"{share:.0%} of the peak, round {number + 1} of {options.rounds}", file=sys.stderr)
            for server in servers if number % 2 == 0 else reversed(servers):
                steps[server.name].append(ask(server, options.seconds, callers=[], rates_per_s=[share * peak]))
        best = min(_median(steps[server.name], "99") for server in peers)
        rows += [
            {
                "server": name,
                "share": share,
                "rate_per_s": share * peak,
                "p50_ms": 1000 * _median(found, "50"),
                "p99_ms": 1000 * _median(found, "99"),
                "p99_of_peer": _median(found, "99") / best,
                "failed": sum(sum(step.failed.values()) for step in found),
            }
            for name, found in steps.items()
        ]
    return rows


def ask(server: Server, seconds: float, **loads: Any) -> LoadStep:
    """Puts one load on a server."""
    url = server.url.removesuffix("/v1/embeddings")
    return bench_server(url, model="model", seconds=seconds, **{"rates_per_s": [], **loads}).steps[0]


def _median(steps: list[LoadStep], percentile: str) -> float:
    return statistics.median(step.latency_s.get(percentile, float("inf")) for step in steps)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Prints the results, the best first for each rate."""
    from rich.table import Table

    table = Table(title="one text a request, at a share of the faster peer's peak")
    table.add_column("server", no_wrap=True)
    for heading in ("share", "req/s", "p50 ms", "p99 ms", "p99 of peer", "failed"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in sorted(rows, key=lambda row: (row["share"], row["p99_ms"])):
        table.add_row(
            row["server"],
            f"{row['share']:.0%}",
            f"{row['rate_per_s']:.0f}",
            f"{row['p50_ms']:.1f}",
            f"{row['p99_ms']:.1f}",
            f"{row['p99_of_peer']:.2f}x",
            str(row["failed"]),
        )
    show(table)


if __name__ == "__main__":
    main()
