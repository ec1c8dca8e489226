"""One text per request over loopback: ``inferox serve``, infinity-emb, and LitServe with sentence-transformers.

    python benchmarks/serving.py MODEL_DIRECTORY --peers PYTHON [--connections 1,64] [--seconds 10] [--rounds 3]
        [--threads 2] [--json]

All servers answer OpenAI's ``POST /v1/embeddings`` in the same mix of lengths as ``offline.py``, each with the same
number of threads. They take turns: all are started once, and wait while another is measured. The requests are sent by
``wrk`` (a Debian package), which takes little of the machine's CPU time. PYTHON is that of an environment with
infinity-emb and LitServe; either is left out if it is missing. The result is the ratio of the medians. CPU time is that
of all processes of a server.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from offline import make_texts
from tables import show

from inferox.measuring.timing import Spread, time_in_turns

ARTIFACTS = {
    "inferox ONNX Runtime fp32": ["--backend", "onnxruntime", "--precision", "fp32"],
    "inferox OpenVINO fp32": ["--backend", "openvino", "--precision", "fp32"],
    "inferox OpenVINO bf16": ["--backend", "openvino", "--precision", "bf16"],
    "inferox OpenVINO int8": ["--backend", "openvino", "--precision", "int8"],
}
"""The options of ``inferox serve`` for each of its rows in the table."""

_STARTING_S = 120

_ASKING = """
local bodies = {}
for line in io.lines("%s") do bodies[#bodies + 1] = line end
local next_body = math.random(#bodies)
request = function()
  next_body = next_body %% #bodies + 1
  return wrk.format("POST", nil, { ["Content-Type"] = "application/json" }, bodies[next_body])
end
done = function(summary, latency)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("found %%d %%f %%f %%f %%d\\n", summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, failed))
end
"""

_LITSERVE = """
import sys
import litserve, torch
from sentence_transformers import SentenceTransformer
model, port, threads = sys.argv[1:]
class Embed(litserve.LitAPI):
    def setup(self, device):
        torch.set_num_threads(int(threads))
        self.model = SentenceTransformer(model, device="cpu")
    def decode_request(self, request):
        given = request["input"]
        return given if isinstance(given, str) else given[0]
    def predict(self, texts):
        return self.model.encode(list(texts), batch_size=32, show_progress_bar=False)
    def encode_response(self, vector):
        data = [{"object": "embedding", "index": 0, "embedding": vector.tolist()}]
        return {"object": "list", "model": "model", "data": data, "usage": {"prompt_tokens": 0, "total_tokens": 0}}
if __name__ == "__main__":
    api = Embed(max_batch_size=64, batch_timeout=0.005, api_path="/v1/embeddings")
    litserve.LitServer(api, accelerator="cpu", workers_per_device=1).run(
        host="127.0.0.1", port=int(port), generate_client_file=False, log_level="warning"
    )
"""


class Server:
    """A server on loopback, in processes of its own.

    Args:
        name: Its name in the table.
        command: The command that starts it.
        port: Its port.
        threads: The number of threads that may compute.
    """

    def __init__(self, name: str, command: Sequence[str], port: int, threads: int) -> None:
        self.name = name
        self.url = f"http://127.0.0.1:{port}/v1/embeddings"
        settings = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")}
        quiet = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}
        began = time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603 - the benchmark's own commands
            command,
            env={**os.environ, **settings, **quiet},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() - began > _STARTING_S:
                self.close()
                raise SystemExit(f"{name} did not start: {' '.join(command)}")
            time.sleep(0.1)
        self.ready_s = time.monotonic() - began

    def ask(self, script: Path, connections: int, seconds: int) -> dict[str, float]:
        """Sends requests as fast as the server answers them.

        Args:
            script: The script of ``wrk``.
            connections: The number of concurrent requests.
            seconds: The duration.

        Returns:
            Requests per second, the median and 99th percentile of latency in milliseconds, the CPU milliseconds per
            request, the resident MiB of its processes, and the number of requests that failed.
        """
        before_s = self._cpu_s()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script), self.url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
        found = re.search(r"^found (\d+) (\S+) (\S+) (\S+) (\d+)$", said, re.MULTILINE)
        if found is None:
            raise SystemExit(f"wrk has said nothing of {self.name}: {said}")
        requests, took_s, median_ms, high_ms, failed = map(float, found.groups())
        return {
            "requests_per_second": requests / took_s,
            "p50_ms": median_ms,
            "p99_ms": high_ms,
            "cpu_ms": 1000 * (self._cpu_s() - before_s) / max(requests, 1),
            "rss_mib": sum(process.memory_info().rss for process in self._processes()) / 2**20,
            "failed": failed,
        }

    def wait(self, timeout_s: float) -> int | None:
        """Waits until the process that was started ends.

        Args:
            timeout_s: The most seconds to wait.

        Returns:
            Its exit status; ``None`` if it is still running.
        """
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """Ends it, with everything that it has started."""
        started = self._processes()
        self._process.terminate()
        psutil.wait_procs(started, timeout=20)
        for process in started:
            if process.is_running():
                process.kill()

    def _answers(self) -> bool:
        body = json.dumps({"model": "model", "input": ["a first text"]}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return "embedding" in json.load(answer)["data"][0]
        except (urllib.error.URLError, OSError):
            return False

    @property
    def pid(self) -> int:
        """The id of the process that was started."""
        return self._process.pid

    def _processes(self) -> list[psutil.Process]:
        try:
            first = psutil.Process(self._process.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _cpu_s(self) -> float:
        times = [process.cpu_times() for process in self._processes()]
        return sum(time.user + time.system for time in times)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a sentence-transformers model directory")
    parser.add_argument("--peers", help="the Python of an environment with infinity-emb and LitServe")
    parser.add_argument("--connections", default="1,64")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--mix", default="mixed", help="english or mixed")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", help="only measure servers whose name contains this")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed: apt install wrk")

    import inferox

    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "model.mlpkg"
        inferox.pack(
            options.model, package, backends=["torch", "onnxruntime", "openvino"], precisions=["fp32", "bf16", "int8"]
        )
        bodies, script = Path(folder) / "bodies", Path(folder) / "ask.lua"
        texts = make_texts(options.texts, options.mix)
        with inferox.load(package) as model:  # OpenAI's protocol refuses a text that a peer would cut silently
            tokens = map(len, model.task.tokenize(texts, add_special_tokens=True))
            texts = [
                text for text, count in zip(texts, tokens, strict=True) if count <= (model.task.max_length or count)
            ]
        bodies.write_text("".join(json.dumps({"model": "model", "input": [text]}) + "\n" for text in texts))
        script.write_text(_ASKING % bodies)
        report = compare(options, package, script)
    print(json.dumps(report, indent=1)) if options.json else print_table(report, options)


def compare(options: argparse.Namespace, package: Path, script: Path) -> list[dict[str, Any]]:
    """Measures all servers in turn.

    Returns:
        A row for each server and number of connections: the medians of the figures, the spread of the rate, and the
        ratio of the rate to that of the fastest peer.
    """
    servers = open_servers(options, package)
    rows = []
    try:
        for connections in map(int, options.connections.split(",")):
            measured: dict[str, list[dict[str, float]]] = {server.name: [] for server in servers}

            def ask(server: Server, connections: int = connections, into: Any = measured) -> list[float]:
                into[server.name].append(server.ask(script, connections, options.seconds))
                return [into[server.name][-1]["requests_per_second"]]

            for server in servers:
                server.ask(script, connections, 3)  # warms it up
            rates = time_in_turns(
                {server.name: (lambda server=server: ask(server)) for server in servers},
                options.rounds,
                progress=lambda number: print(f"round {number + 1} of {options.rounds}", file=sys.stderr),
            )
            medians = {name: Spread.of(found).median for name, found in rates.items()}
            best = max((rate for name, rate in medians.items() if name not in ARTIFACTS), default=None)
            for server in servers:
                of_server = measured[server.name]
                facts = {key: Spread.of([one[key] for one in of_server]).median for key in of_server[0]}
                rows.append(
                    {
                        "server": server.name,
                        "connections": connections,
                        "ratio": None if best is None else medians[server.name] / best,
                        "lowest": min(rates[server.name]),
                        "highest": max(rates[server.name]),
                        "ready_s": server.ready_s,
                        **facts,
                    }
                )
    finally:
        for server in servers:
            server.close()
    return rows


def open_servers(options: argparse.Namespace, package: Path) -> list[Server]:
    """Starts every server, one after the other."""
    servers, threads = [], str(options.threads)
    for name, more in ARTIFACTS.items():
        if options.only in name:
            port = free_port()
            command = ["-m", "inferox", "serve", f"model={package}", "--port", str(port), "--threads", threads, *more]
            servers.append(Server(name, [sys.executable, *command], port, options.threads))
    if options.peers is None:
        return servers
    scripts = Path(options.peers).parent
    if options.only in "infinity-emb" and (scripts / "infinity_emb").exists():
        port = free_port()
        words = ["v2", "--model-id", options.model, "--served-model-name", "model", "--engine", "torch"]
        words += ["--url-prefix", "/v1", "--device", "cpu", "--no-bettertransformer"]
        words += ["--host", "127.0.0.1", "--port", str(port)]
        command = [str(scripts / "infinity_emb"), *words]
        servers.append(Server("infinity-emb", command, port, options.threads))
    if options.only in "LitServe" and (scripts / "litserve").exists():
        port = free_port()
        program = package.with_name("litserve_app.py")  # its workers are spawned, and import it again
        program.write_text(_LITSERVE)
        command = [options.peers, str(program), options.model, str(port), threads]
        servers.append(Server("LitServe", command, port, options.threads))
    return servers


def start_server(source: str, threads: int, *more: str) -> tuple[Server, int]:
    """Starts a server of Inferox with one model.

    Args:
        source: The package, or a function that makes the model.
        threads: The number of threads that may compute.
        more: Further options.

    Returns:
        The server, and its port.
    """
    port = free_port()
    command = [sys.executable, "-m", "inferox", "serve", f"model={source}", "--port", str(port)]
    command += ["--threads", str(threads), *(["--trust-code"] if source.startswith("python:") else []), *more]
    return Server("inferox", command, port, threads), port


def free_port() -> int:
    """Finds a free port on loopback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def print_table(rows: Sequence[dict[str, Any]], options: argparse.Namespace) -> None:
    """Prints the results, the fastest first for each number of connections."""
    from rich.table import Table

    table = Table(title=f"one text a request, {options.threads} threads, median of {options.rounds} rounds in turns")
    table.add_column("server", no_wrap=True)
    for heading in ("callers", "req/s", "of peer", "p50 ms", "p99 ms", "CPU ms", "MiB", "failed"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in sorted(rows, key=lambda row: (row["connections"], -row["requests_per_second"])):
        table.add_row(
            row["server"],
            str(row["connections"]),
            f"{row['requests_per_second']:.0f}",
            "" if row["ratio"] is None else f"{row['ratio']:.2f}x",
            f"{row['p50_ms']:.1f}",
            f"{row['p99_ms']:.1f}",
            f"{row['cpu_ms']:.2f}",
            f"{row['rss_mib']:.0f}",
            f"{row['failed']:.0f}",
        )
    show(table)


if __name__ == "__main__":
    main()
