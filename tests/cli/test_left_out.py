"""What a measurement leaves out is named, in one line for each reason."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inferox.cli.left_out import say_left_out
from inferox.measuring import comparison
from tests.cli.conftest import Run
from tests.measuring.comparison.test_comparing import ONCE
from tests.report.comparisons import make_comparison

REASONS = {"torch/a": "it is late", "candle/a": "it is not installed", "openvino/a": "it is late"}
LINES = ["not measured: torch/a, openvino/a: it is late", "not measured: candle/a: it is not installed"]


@pytest.mark.parametrize(
    ("as_json", "is_terminal", "streams"),
    [(True, False, ["err"]), (True, True, ["err"]), (False, False, ["out", "err"]), (False, True, ["out"])],
)
def test_each_reason_has_one_line(
    as_json: bool,
    is_terminal: bool,
    streams: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    say_left_out(REASONS, "not measured", as_json=as_json)
    said = capsys.readouterr()
    assert said.out.splitlines() == (LINES if "out" in streams else [])
    assert said.err.splitlines() == ([f"inferox: {line}" for line in LINES] if "err" in streams else [])


@pytest.fixture(scope="module")
def package(cnn_package: Path) -> Path:
    return cnn_package


@pytest.mark.parametrize("form", ["--json", "--table"])
@pytest.mark.parametrize("command", ["compare", "tune", "verify"])
def test_every_measuring_command_says_it_at_its_end(
    run: Run, package: Path, command: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "FULL", ONCE)  # what is measured does not matter
    monkeypatch.setattr("inferox.measuring.tuning._TURN_S", 0.0)
    done = run(command, package, "--threads", "1", "--seconds", "20", form)
    assert done.code == 0, done.err
    line = done.err.splitlines()[-1]
    assert line.startswith("inferox: not ")
    assert ": torch/torch-export/fp32/padded: " in line
    assert "not allowed" in line
    assert (line.removeprefix("inferox: ") in done.out) is (form == "--table")
    if form == "--json":
        json.loads(done.out)


def test_a_library_that_does_not_take_part_is_named_with_the_artifacts(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "the time was over before it was measured; allow more seconds"
    not_run = {"candle/a": reason, "torch/a": reason, "torch/b": "it is not allowed"}
    found = replace(make_comparison(), peer=None, no_peer=reason, not_run=not_run)

    def compare(*_: Any, **__: Any) -> comparison.Comparison:
        return found

    monkeypatch.setattr(comparison, "compare", compare)
    done = run("compare", tmp_path, "--json")
    assert done.err.splitlines()[-2:] == [
        f"inferox: not measured: candle/a, torch/a, sentence-transformers: {reason}",
        "inferox: not measured: torch/b: it is not allowed",
    ]
