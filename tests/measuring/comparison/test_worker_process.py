"""The process in which artifacts are measured: its protocol, and its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from inferox.measuring.comparison.worker_process import WorkerError, WorkerProcess
from tests.measuring.comparison.faulty import write_faulty_package

ARTIFACT = "faulty/safetensors/fp32/padded"


@pytest.fixture
def package(tmp_path: Path) -> str:
    return str(write_faulty_package(tmp_path / "p", [None]))


def load(worker: WorkerProcess, package: str, artifact: str = ARTIFACT) -> None:
    worker.ask("load", package=package, artifact=artifact, device=None, threads=1, trust_code=False, timeout_s=60)


def test_output_of_a_runtime_is_not_an_answer(package: str) -> None:
    with WorkerProcess(threads=1) as worker:
        load(worker, package)
        assert worker.ask("describe", timeout_s=60) == {"lengths": [None], "typical": 0}
        assert worker.age_s > 0


def test_commands_out_of_turn(package: str) -> None:
    with WorkerProcess(threads=1) as worker:
        with pytest.raises(WorkerError, match="cannot answer 'memory' now"):
            worker.ask("memory", timeout_s=60)
        with pytest.raises(WorkerError, match="has no artifact 'nope'"):
            load(worker, package, "nope")
        load(worker, package)
        with pytest.raises(WorkerError, match="cannot answer 'close' now"):
            worker.ask("close", timeout_s=60)


def test_one_that_is_killed() -> None:
    with WorkerProcess(threads=1) as worker:
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(WorkerError, match=r"ended by SIGKILL \(the system may have run out of memory\)"):
            worker.ask("memory", timeout_s=60)


def test_ending_twice() -> None:
    worker = WorkerProcess(threads=1)
    worker.end()
    worker.end()
    assert not psutil.pid_exists(worker.pid)


def test_what_a_runtime_has_started_ends_with_it(tmp_path: Path) -> None:
    with WorkerProcess(threads=1) as worker:
        load(worker, str(write_faulty_package(tmp_path / "p", ["starts another"])))
        (child,) = psutil.Process(worker.pid).children()
    psutil.wait_procs([child], timeout=30)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_peak_memory_is_its_own(package: str) -> None:
    held = bytearray(os.urandom(1)) * 400_000_000
    with WorkerProcess(threads=1) as worker:
        load(worker, package)
        assert worker.ask("memory", timeout_s=60)["peak_memory_bytes"] < len(held)


def test_it_does_not_outlive_its_parent(tmp_path: Path) -> None:
    package = str(write_faulty_package(tmp_path / "p", ["hangs"]))
    script = (
        "from inferox.measuring.comparison.worker_process import WorkerProcess\n"
        "worker = WorkerProcess(threads=1)\n"
        "print(worker.pid, flush=True)\n"
        f"load = dict(package={package!r}, artifact={ARTIFACT!r}, device=None, threads=1, trust_code=False)\n"
        "worker.ask('load', timeout_s=60, **load)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:  # noqa: S603
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(1)
        parent.kill()
    deadline = time.monotonic() + 30
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the worker is still there"
        time.sleep(0.05)


@pytest.mark.parametrize("written", [b"", b'{"command": "lo', b"\xff\n"])
def test_it_ends_where_its_input_does_whatever_was_written(written: bytes) -> None:
    command = [sys.executable, "-P", "-m", "inferox.measuring.comparison.worker"]
    ended = subprocess.run(command, check=False, input=written, capture_output=True, timeout=30)  # noqa: S603
    assert ended.returncode == 0


def test_the_current_folder_is_not_imported_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    with WorkerProcess(threads=1) as worker:
        load(worker, package)
