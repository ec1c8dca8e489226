"""``--isolated``: a runtime that crashes only ends a separate process, which is reported as one error."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import inferox
from tests.attacks.test_graphs import forge
from tests.cli.conftest import Run
from tests.sources.graphs import make_affine, save_affine


def make_crash() -> ModelProto:
    """y = x @ weight + bias + 0 * (frames of no length), by which ONNX Runtime divides."""
    nodes = [
        helper.make_node("ReduceMin", ["x"], ["least"], keepdims=0),
        helper.make_node("Cast", ["least"], ["number"], to=TensorProto.INT64),
        helper.make_node("Mul", ["number", "nothing"], ["length"]),
        helper.make_node("STFT", ["signal", "step", "", "length"], ["frames"]),
        helper.make_node("ReduceSum", ["frames"], ["total"], keepdims=0),
        helper.make_node("Mul", ["total", "zero"], ["floating"]),
        helper.make_node("Add", ["sum", "floating"], ["y"]),
    ]
    model = make_affine(*nodes)
    constants = {
        "nothing": np.array(0),
        "signal": np.ones((1, 32, 1), np.float32),
        "step": np.array(4),
        "zero": np.array(0, np.float32),
    }
    for name, array in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


@pytest.fixture
def package(tmp_path: Path) -> Path:
    inferox.pack(save_affine(tmp_path / "affine.onnx"), tmp_path / "package", backends=("onnxruntime",))
    return tmp_path / "package"


def test_an_isolated_command_says_what_it_would_say_otherwise(run: Run, package: Path) -> None:
    for command in ("verify", "inspect"):
        plain, isolated = run(command, package, "--json"), run(command, package, "--json", "--isolated")
        assert isolated.code == 0
        assert isolated.err.splitlines()[:1] == plain.err.splitlines()[:1]  # what follows are times
        assert json.loads(isolated.out) == json.loads(plain.out)
    assert "affine" in run("inspect", "--table", "--isolated", package).out


def test_an_error_within_is_passed_on(run: Run, tmp_path: Path) -> None:
    plain, isolated = (run("verify", tmp_path / "none", *more) for more in ([], ["--isolated"]))
    assert (isolated.code, isolated.err) == (plain.code, plain.err)
    assert plain.code == 3


def test_a_crash_is_one_error(run: Run, package: Path) -> None:
    forge(package, "model.onnx", make_crash().SerializeToString())
    done = run("verify", package, "--isolated")
    assert done.code == 3
    assert done.out == ""
    assert "was ended by SIGFPE" in done.err
    assert "Traceback" not in done.err


def test_a_crash_while_packing_is_one_error(run: Run, tmp_path: Path) -> None:
    onnx.save(make_crash(), tmp_path / "crash.onnx")
    done = run("pack", tmp_path / "crash.onnx", "-o", tmp_path / "out", "--backends", "onnxruntime", "--isolated")
    assert done.code == 3
    assert "was ended by SIGFPE" in done.err
    assert not (tmp_path / "out").exists()


def test_time_and_memory_are_limited(run: Run, package: Path) -> None:
    late = run("verify", package, "--isolated", "--time-limit", "0.01")
    assert late.code == 3
    assert "took longer than 0.01 s" in late.err
    for limit in ("5MB", "0.02 GiB", "60MiB"):
        small = run("verify", package, "--isolated", f"--memory-limit={limit}")
        assert (small.code, small.out) == (3, "")
        assert "memory" in small.err
    for limit in ("0", "4", "1023KiB"):
        less = run("verify", package, "--isolated", "--memory-limit", limit)
        assert (less.code, f"--memory-limit must be 1MiB or more, but is {limit}" in less.err) == (2, True), less.err
    for limit in ("much", "nan", "-1GiB"):
        wrong = run("verify", package, "--isolated", "--memory-limit", limit)
        assert (wrong.code, f"--memory-limit must be a size, but is '{limit}'" in wrong.err) == (2, True), wrong.err


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_the_process_ends_with_its_parent() -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time\\nfrom inferox.machine.processes import "
        "end_with_parent\\nend_with_parent()\\nprint(1, flush=True)\\ntime.sleep(60)'], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:  # noqa: S603 - the text above
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.terminate()
        parent.wait(timeout=30)
        psutil.wait_procs([child], timeout=30)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_limits_are_for_isolated_commands(run: Run, package: Path) -> None:
    done = run("verify", package, "--time-limit", "5")
    assert done.code == 2
    assert "are for --isolated" in done.err


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in {"x86_64", "aarch64"}, reason="needs seccomp's filters"
)
def test_only_what_may_have_to_fetch_something_has_the_network(
    run: Run, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = tmp_path / "hook"
    hook.mkdir()
    # Python runs it in every process; at the end it says whether that process may make sockets.
    (hook / "sitecustomize.py").write_text(
        "import atexit, socket, sys\n"
        "def say():\n"
        "    try:\n"
        "        socket.socket()\n"
        "        print('has network', file=sys.stderr)\n"
        "    except PermissionError:\n"
        "        print('has none', file=sys.stderr)\n"
        "atexit.register(say)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{hook}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    for command in ("verify", "inspect"):
        done = run(command, package, "--isolated", "--json")
        assert (done.code, "has none" in done.err, "has network" in done.err) == (0, True, False), done.err
    graph = tmp_path / "affine.onnx"
    done = run("pack", graph, "-o", tmp_path / "again", "--backends", "onnxruntime", "--isolated")
    assert (done.code, "has network" in done.err) == (0, True), done.err
