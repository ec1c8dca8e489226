"""The process that has workers: its imports, and what remains after it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from inferox import Engine
from tests.engine.workers.test_workers import is_alive

TEXTS = ("a text", "another one, which is longer", "x" * 2000)


def test_a_front_computes_nothing_and_takes_its_workers_along(minilm_package: Path) -> None:
    command = [sys.executable, "-m", "tests.engine.workers.front", str(minilm_package), *TEXTS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as front:  # noqa: S603 - our own
        assert front.stdout is not None
        line = front.stdout.readline()
        # It is killed while its worker computes.
        front.kill()
        killed = time.monotonic()
        assert line, front.stderr.read() if front.stderr else None
        found = json.loads(line)
        while any(map(is_alive, found["pids"])):
            assert time.monotonic() - killed < 1
            time.sleep(0.01)
    assert found["pids"]
    assert found["imported"] == []
    assert not found["is_writeable"]
    with Engine() as engine:
        info = engine.load(minilm_package, name="minilm", backend="onnxruntime")
        expected = engine.infer("minilm", TEXTS, truncate="cut").results
    assert info.embedding_space == found["space"]
    np.testing.assert_allclose(found["vectors"], expected, atol=1e-6)
    np.testing.assert_allclose(found["alone"], expected[:1], atol=1e-6)
