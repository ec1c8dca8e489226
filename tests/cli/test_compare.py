"""``inferox compare``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import inferox
from inferox.cli.compare import _print
from inferox.measuring.comparison import FULL, QUICK, Plan
from tests.cli.conftest import Run
from tests.packing.modules import make_cnn
from tests.report.comparisons import make_comparison


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compare") / "cnn"
    inferox.pack(make_cnn, path, backends=("torch", "onnxruntime", "openvino"), precisions=("fp32",), name="<cnn> & co")
    return path


def test_everything_is_measured_and_reported(run: Run, package: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    done = run("compare", package, "--quick", "--threads", "1", "--json", "--html", report)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["threads"] == 1
    assert {item["artifact"] for item in found["artifacts"]} == {
        "onnxruntime/onnx/fp32/padded",
        "openvino/onnx/fp32/padded",
    }
    assert "not allowed" in found["not_run"]["torch/torch-export/fp32/padded"]
    text = report.read_text(encoding="utf-8")
    assert "&lt;cnn&gt; &amp; co" in text
    assert "<cnn>" not in text
    assert text.count("<svg") >= 3

    again = run("compare", package, "--quick", "--html", report)
    assert again.code == 2
    assert report.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (QUICK, "Load and first result: of a single start. The other times and rates: medians of 3 rounds"),
        (
            FULL,
            "Load and first result: medians of 3 starts, with their middle half below; the rest: medians of 5 rounds",
        ),
    ],
)
def test_the_footnote_says_what_each_figure_is(capsys: pytest.CaptureFixture[str], plan: Plan, said: str) -> None:
    _print(replace(make_comparison(), plan=plan))
    assert said in " ".join(capsys.readouterr().out.split())


def test_places_that_cannot_be_written(run: Run, package: Path, tmp_path: Path) -> None:
    for place in (tmp_path / "missing" / "report.html", tmp_path):
        done = run("compare", package, "--quick", "--html", place)
        assert done.code != 0
        assert "Traceback" not in done.err


def test_nothing_that_can_run(run: Run, package: Path) -> None:
    assert run("compare", package, "--backend", "torch", "--quick").code == 5
