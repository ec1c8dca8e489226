"""``inferox tune`` and ``inferox explain``."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from inferox.cli.tune import _answer, _kept, _warnings
from inferox.loading.cell import Cell
from inferox.loading.profile import Profile
from inferox.measuring.time_budget import Ending
from inferox.measuring.tuning import Tuning
from tests.cli.conftest import Run


@pytest.fixture
def package(image_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package, and a store of the test's own."""
    monkeypatch.setenv("INFEROX_STORE", str(tmp_path / "store"))
    monkeypatch.setattr("inferox.measuring.tuning._TURN_S", 0.0)  # the times themselves do not matter
    return shutil.copytree(image_package, tmp_path / "cnn")


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
    assert "Fastest for each shape of batch, with 1 thread" in run("tune", package, "--table", "--threads", "1").out

    after = json.loads(run("explain", package, "--json", "--threads", "1").out)
    assert after["profile"]["threads"] == 1
    assert any("measured fastest here" in item["reason"] for item in after["artifacts"])
    assert "Fastest for each shape" in run("explain", package, "--table", "--threads", "1").out


@pytest.mark.parametrize("form", ["--json", "--table"])
def test_what_a_run_that_was_ended_early_does_not_replace_is_said(
    run: Run, package: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run("tune", package, "--json", "--threads", "1")
    tuned = json.loads(done.out)
    assert (tuned["stored"], tuned["kept"]) == (True, {})
    assert "earlier" not in done.err
    (path,) = (package.parent / "store" / "profiles").rglob("*.json")
    content = path.read_bytes()
    monkeypatch.setattr("inferox.measuring.time_budget.TimeBudget.fits", lambda *_: False)
    done = run("tune", package, form, "--threads", "1", "--seconds", "3600")
    assert done.code == 0, done.err
    assert path.read_bytes() == content
    names = ", ".join(tuned["profile"]["cells"])
    said = f"kept the earlier times of {names}: measured in 5 rounds, now in less than one round"
    assert done.err.splitlines()[-1] == f"inferox: {said}; --seconds allows more time"
    if form == "--json":
        found = json.loads(done.out)
        assert (found["stored"], found["kept"]) == (False, dict.fromkeys(tuned["profile"]["cells"], 5))
    else:
        assert "is the fastest here" in done.out
        assert "stored in" not in done.out


def test_what_was_measured_with_another_budget_is_named(run: Run, package: Path) -> None:
    assert run("tune", package, "--json", "--threads", "1").code == 0
    reason = "it was measured with 1 thread"
    found = json.loads(run("explain", package, "--json", "--threads", "2").out)
    assert (found["profile"], found["profile_ignored"]) == (None, reason)
    table = run("explain", package, "--table", "--threads", "2").out
    assert f"measurements are ignored: {reason}" in table
    assert "Fastest for each shape" not in table


def test_what_no_longer_holds_is_named_beside_what_does(run: Run, package: Path) -> None:
    run("tune", package, "--json", "--threads", "1")
    (path,) = (package.parent / "store" / "profiles").rglob("*.json")
    profile = json.loads(path.read_text())
    path.write_text(json.dumps({**profile, "versions": {**profile["versions"], "openvino": "0.1"}}))
    table = run("explain", package, "--table", "--threads", "1").out
    assert "Fastest for each shape" in table
    assert "measurements are ignored: it was measured with openvino 0.1" in table


def test_what_only_code_can_run(run: Run, packages: dict[str, Path]) -> None:
    done = run("explain", packages["raw"], "--json")
    assert done.code == 5
    (artifact,) = json.loads(done.out)["artifacts"]
    assert not artifact["taken"]
    assert "--trust-code" in artifact["reason"]
    table = run("explain", packages["raw"], "--table")
    assert (table.code, "rejected" in table.out) == (5, True)
    assert run("explain", packages["raw"], "--json", "--trust-code").code == 0


def test_nothing_that_can_run(run: Run, package: Path) -> None:
    done = run("explain", package, "--backend", "candle", "--json")
    assert done.code == 5
    assert not any(item["taken"] for item in json.loads(done.out)["artifacts"])
    assert run("tune", package, "--backend", "candle").code == 5
    assert run("tune", package, "--backend", "nope").code == 5
    assert run("explain", package, "--quality", "best").code == 2


def test_the_artifacts_whose_earlier_times_remain_are_named() -> None:
    profile = Profile("d", "m", 2, "default", {}, "2026", {})
    found = Tuning("x", profile, Path("x"), {"a": 3, "b": 5}, True, {}, 2, 5, {}, Ending.INTERRUPTED, ())
    assert _kept(found).startswith("kept the earlier times of a, b: measured in 3 to 5 rounds, now in 2 rounds")
    found = replace(found, kept={"a": 1}, rounds=0)
    assert _kept(found).startswith("kept the earlier times of a: measured in 1 round, now in less than one round")


def test_the_answer_names_what_is_loaded_from_now_on() -> None:
    # The first is faster for most shapes, the second in total.
    times = {"openvino/onnx/bf16/packed": [1.0, 1.0, 9.0], "openvino/onnx/bf16/padded": [1.1, 1.1, 3.0]}
    cells = {
        name: tuple(Cell(1, length, seconds) for length, seconds in zip((8, 32, 128), listed, strict=True))
        for name, listed in times.items()
    }
    profile = Profile("d", "m", 2, "default", {}, "2026", cells)
    found = Tuning("x", profile, Path("x"), {}, True, {}, 1, 1, {}, Ending.COMPLETE, ())
    assert _warnings(replace(found, noise={"a": 0.1, "b": 0.14})) == []
    (said,) = _warnings(replace(found, noise={"a": 0.1, "b": 0.62}))
    assert said.startswith("The measurement is noisy: the middle half of the times spans 62% of the median (b).")
    answer = _answer(found)
    assert answer.startswith(
        "openvino/onnx/bf16/padded is the fastest here over all 3 sizes of call, and for 1 of them individually;"
    )
