"""ONNX Runtime reports its use to nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = """
import inferox, sys
from inferox.backends.onnxruntime.probe_graph import MATMUL_GRAPH
from inferox.backends.onnxruntime.session import open_session
from inferox.engine.workers.fork_server import find_obstacle, import_fit
import_fit(["numpy", "onnxruntime"])
print(find_obstacle(), "onnxruntime" in sys.modules)
open_session(MATMUL_GRAPH, threads=1)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks workers")
def test_it_keeps_no_record_and_no_thread_so_that_workers_can_be_forked_from_a_process_that_imported_it(
    tmp_path: Path,
) -> None:
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    env = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"} | home
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True, env=env)  # noqa: S603
    assert done.stdout.strip() == "None True"
    assert list(tmp_path.rglob("*")) == []
