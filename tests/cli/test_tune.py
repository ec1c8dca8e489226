"""``inferox tune`` and ``inferox explain``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import inferox
from tests.build.modules import make_cnn
from tests.cli.conftest import Run


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INFEROX_STORE", str(tmp_path / "store"))
    inferox.pack(make_cnn, tmp_path / "cnn", backends=("onnxruntime", "openvino"))
    return tmp_path / "cnn"


def test_explain_before_and_after(run: Run, package: Path) -> None:
    before = json.loads(run("explain", package, "--json").out)
    assert [(item["artifact"], item["taken"]) for item in before["artifacts"]] == [
        ("openvino/onnx/fp32/padded", True),
        ("onnxruntime/onnx/fp32/padded", False),
    ]
    assert before["profile"] is None
    assert "nothing was measured" in run("explain", package, "--table").out

    done = run("tune", package, "--json", "--threads", "1")
    assert done.code == 0, done.err
    tuned = json.loads(done.out)
    assert set(tuned["profile"]["cells"]) == {item["artifact"] for item in before["artifacts"]}
    assert "Fastest of each shape of batch, with 1 thread" in run("tune", package, "--table", "--threads", "1").out

    after = json.loads(run("explain", package, "--json", "--threads", "1").out)
    assert after["profile"]["threads"] == 1
    assert any("measured fastest here" in item["reason"] for item in after["artifacts"])
    assert "Fastest of each shape" in run("explain", package, "--table", "--threads", "1").out


def test_nothing_that_can_run(run: Run, package: Path) -> None:
    done = run("explain", package, "--backend", "candle", "--json")
    assert done.code == 5
    assert not any(item["taken"] for item in json.loads(done.out)["artifacts"])
    assert run("tune", package, "--backend", "candle").code == 5
    assert run("tune", package, "--backend", "nope").code == 5
    assert run("explain", package, "--quality", "best").code == 2
