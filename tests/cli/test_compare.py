"""``inferox compare``."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import inferox
from inferox.cli.compare import _print as print_comparison
from inferox.measuring import comparison
from inferox.measuring.comparison import Comparison, Progress, comparing
from tests.cli.conftest import Run
from tests.packing.modules import make_cnn
from tests.report.comparisons import make_comparison, make_measurement


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compare") / "cnn"
    inferox.pack(make_cnn, path, backends=("torch", "onnxruntime", "openvino"), precisions=("fp32",), name="<cnn> & co")
    return path


def test_everything_is_measured_and_reported(run: Run, package: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    done = run("compare", package, "--seconds", "20", "--threads", "1", "--json", "--html", report)
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
    assert (found["ending"], found["rounds"] >= 1) == ("complete", True)
    assert not any("rows" in item["evidence"] for item in found["artifacts"])

    again = run("compare", package, "--seconds", "20", "--html", report)
    assert again.code == 2
    assert report.read_text(encoding="utf-8") == text


def test_the_evidence_of_rows_is_shown_on_request(run: Run, package: Path) -> None:
    done = run("compare", package, "--backend", "onnxruntime", "--seconds", "20", "--json", "--rows")
    (found,) = json.loads(done.out)["artifacts"]
    assert len(found["evidence"]["rows"]) > 0


def test_places_that_cannot_be_written(run: Run, package: Path, tmp_path: Path) -> None:
    for place in (tmp_path / "missing" / "report.html", tmp_path):
        done = run("compare", package, "--seconds", "20", "--html", place)
        assert done.code != 0
        assert "Traceback" not in done.err


def test_nothing_that_can_run(run: Run, package: Path) -> None:
    assert run("compare", package, "--backend", "torch", "--seconds", "20").code == 5


def test_the_answer_comes_first_and_an_interruption_keeps_it(
    run: Run, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = comparing.compare

    def interrupted(*arguments: Any, progress: Progress, **options: Any) -> Comparison:
        def stop(what: str, used_s: float, total_s: float) -> None:
            progress(what, used_s, total_s)
            if what.startswith("round 1 of") and "parity" in what:
                raise KeyboardInterrupt

        return measured(*arguments, progress=stop, **options)

    monkeypatch.setattr(comparison, "compare", interrupted)
    report = tmp_path / "report.html"
    done = run("compare", package, "--seconds", "30", "--threads", "1", "--table", "--html", report)
    assert done.code == 130
    plan = f"inferox: comparing {package}: every artifact in a process of its own, in turns, within 30 s (--seconds)"
    assert done.err.splitlines()[0] == plan
    assert re.search(r"inferox: \d+ s, \d+%: starting: ", done.err)
    first, *rest = done.out.splitlines()
    assert re.match(r"(openvino|onnxruntime)/onnx/fp32/padded is the fastest here with", first)
    text = " ".join(rest)
    assert re.search(r"for latency: \S+/fp32/padded, [\d.]+ .?s for one row", text)
    assert "Stopped in the first of" in text
    assert "Not measured for any artifact: parity" in text
    assert "is the fastest here with" in report.read_text(encoding="utf-8")


def test_the_library_beside_stands_last_in_both_tables(capsys: pytest.CaptureFixture[str]) -> None:
    found = make_comparison()
    print_comparison(replace(found, peer=make_measurement("sentence-transformers", 4)))
    last = f"({len(found.artifacts) + 1})"
    facts, times = (line for line in capsys.readouterr().out.splitlines() if line.strip().startswith(last))
    assert "sentence-transformers" in facts
    assert "no samples" not in facts
    assert len(times.split("  ")) > 4
