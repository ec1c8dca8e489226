"""One thread budget applies to every runtime, and to the tokenizer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cores import all_cores

BUSY_SHARE = 0.3
"""A thread that computes for less than this share of the time only waits, or cleans up."""

COUNT = """
import json, os, sys, time
import inferox

def clocks():
    ticks = os.sysconf("SC_CLK_TCK")
    found = {}
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        found[task] = (int(fields[11]) + int(fields[12])) / ticks
    return found

package, backend, threads = sys.argv[1:]
texts = ["some words of a text that is long enough to keep a core busy " * 3] * 12
# With several threads, OpenVINO computes so many batches in another way than few.
many = texts * 75 if backend == "openvino" and int(threads) > 1 else texts
with inferox.load(package, backend, threads=int(threads)) as model:
    model.embed(many)
    before, started, spent_before = clocks(), time.perf_counter(), time.process_time()
    while time.perf_counter() - started < 0.7:
        model.task.encode(texts * 20)
        model.embed(texts)
        model.embed(many)
    wall = time.perf_counter() - started
    # Threads that have ended are in the time of the process alone.
    cores = (time.process_time() - spent_before) / wall
    spent = [now - before.get(task, 0.0) for task, now in clocks().items()]
print(json.dumps({"wall": wall, "spent": spent, "cores": cores}))
"""


def count_busy(package: Path, backend: str, threads: int) -> tuple[int, float]:
    """Counts the threads that were busy, and the cores that all of them used together."""
    command = [sys.executable, "-c", COUNT, str(package), backend, str(threads)]
    with all_cores():  # so that only the budget limits the threads
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)  # noqa: S603 - our own code
    found = json.loads(done.stdout)
    return sum(spent > BUSY_SHARE * found["wall"] for spent in found["spent"]), found["cores"]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the threads of a process are counted in /proc")
@pytest.mark.parametrize("backend", ["torch", "onnxruntime", "openvino", "candle"])
def test_one_thread_is_one_busy_thread(minilm_package: Path, backend: str) -> None:
    busy, cores = count_busy(minilm_package, backend, 1)
    assert busy <= 1
    assert cores < 1.2


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the threads of a process are counted in /proc")
@pytest.mark.parametrize(
    "backend", ["onnxruntime", *(pytest.param(name, marks=pytest.mark.slow) for name in ("torch", "openvino"))]
)
def test_two_threads_are_no_more_than_two(minilm_package: Path, backend: str) -> None:
    busy, cores = count_busy(minilm_package, backend, 2)
    assert busy <= 2
    assert cores < 2.2
