"""Sessions that are opened before they are needed, in a process that then forks."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from onnxruntime import InferenceSession

import inferox
from inferox.backends.onnxruntime import ready_sessions
from inferox.backends.onnxruntime.backend import OnnxRuntimeBackend
from inferox.backends.onnxruntime.probe_graph import MATMUL_GRAPH
from inferox.backends.onnxruntime.ready_sessions import SessionFiles, list_in_use, open_in_advance, open_or_take
from inferox.backends.onnxruntime.session import open_session


def write(folder: Path, threads: int = 1) -> SessionFiles:
    graph, weights = folder / "model.onnx", folder / "weights"
    graph.write_bytes(MATMUL_GRAPH)
    weights.write_bytes(b"1")
    return SessionFiles(graph, (weights,), threads)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Collects the graphs that are opened from now on."""
    graphs = list[Path]()

    def note(graph: Path, *, threads: int) -> InferenceSession:
        graphs.append(graph)
        return open_session(graph, threads=threads)

    monkeypatch.setattr(ready_sessions, "open_session", note)
    return graphs


def test_what_was_opened_in_advance_is_given_away_once(tmp_path: Path, opened: list[Path]) -> None:
    files = write(tmp_path)
    session = open_or_take(files)
    (listed,) = [text for text in list_in_use() if SessionFiles.parse(text) == files]
    open_in_advance([listed])
    assert len(opened) == 2
    ready = open_or_take(files)
    assert ready is not session
    assert len(opened) == 2
    assert open_or_take(files) is not ready
    assert len(opened) == 3


@pytest.mark.parametrize("name", ["model.onnx", "weights"])
def test_a_file_that_has_changed_is_opened_anew(tmp_path: Path, opened: list[Path], name: str) -> None:
    files = write(tmp_path)
    open_in_advance([files.write()])
    os.utime(tmp_path / name, ns=(1, 1))
    open_or_take(files)
    assert opened == [files.graph] * 2


def test_sessions_with_threads_of_their_own_are_not_listed_and_none_that_is_gone(tmp_path: Path) -> None:
    one, two = write(tmp_path), write(tmp_path, threads=2)
    sessions = [open_or_take(one), open_or_take(two)]
    assert one.write() in OnnxRuntimeBackend().list_loaded()
    assert two.write() not in list_in_use()
    del sessions
    gc.collect()
    assert one.write() not in list_in_use()


_SCRIPT = """
import os, sys
import numpy as np
import inferox
from inferox.backends.onnxruntime import ready_sessions
from inferox.engine.workers.fork_server import find_obstacle, import_fit, load_fit
import_fit(["numpy", "onnxruntime"])
load_fit({"onnxruntime": sys.argv[2:]})
assert find_obstacle() is None
assert sum(map(len, ready_sessions._ready.values())) == 1
for _ in range(2):
    if (child := os.fork()) == 0:
        with inferox.load(sys.argv[1], "onnxruntime", threads=1) as model:
            assert not any(ready_sessions._ready.values())
            print(model.embed(["a text", "another one"]).tobytes().hex(), flush=True)
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks workers")
def test_forks_compute_the_same_with_a_session_that_was_opened_before(bert_package: Path) -> None:
    known = set(list_in_use())
    with inferox.load(bert_package, "onnxruntime", threads=1) as model:
        expected = model.embed(["a text", "another one"]).tobytes().hex()
        (listed,) = set(list_in_use()) - known
    command = [sys.executable, "-c", _SCRIPT, str(bert_package), listed]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.stdout.split() == [expected] * 2, done.stderr
