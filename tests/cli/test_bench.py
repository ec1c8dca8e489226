"""``inferox bench``: a package under load."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inferox import bench as benching
from inferox.bench import LoadReport
from tests.bench.test_serving import openai, serving
from tests.cli.conftest import Run
from tests.client.scripted import HANG_UP, Reply

Packages = dict[str, Path]
Progress = Callable[[str, int, int], None]


def test_loads_are_measured_and_plotted(run: Run, packages: Packages, tmp_path: Path) -> None:
    page = tmp_path / "load.html"
    done = run("bench", packages["embed"], "--callers", "1,8", "--seconds", "1", "--plot", page, "--threads", "1")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["task"], found["threads"]) == ("embed", 1)
    closed, opened = found["steps"][:2], found["steps"][2:]
    assert [step["callers"] for step in closed] == [1, 8]
    highest = max(step["answered_per_s"] for step in closed)
    assert [step["offered_per_s"] for step in opened] == pytest.approx([share * highest for share in (0.5, 0.8, 0.95)])
    for step in found["steps"]:
        assert step["answered"] > 0
        assert step["latency_s"]["50"] <= step["latency_s"]["99"] <= step["latency_s"]["max"] <= 2
        assert step["answered_per_s"] == pytest.approx(step["answered"] / step["duration_s"])
        assert step["batch_rows"] >= 1
        assert 0 <= step["padding"] < 1
    assert closed[1]["batch_rows"] > closed[0]["batch_rows"] == 1
    text = page.read_text()
    assert text.count("<figure") == text.count("</figure>") == 3
    assert "8 callers: p99 " in text
    assert "requests/s: p50 " in text


def test_an_interruption_keeps_what_was_measured(
    run: Run, packages: Packages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = benching.bench

    def interrupted(*arguments: Any, progress: Progress, **options: Any) -> LoadReport:
        def stop(what: str, done: int, planned: int) -> None:
            progress(what, done, planned)
            if done == 1:
                raise KeyboardInterrupt

        return measured(*arguments, progress=stop, **options)

    monkeypatch.setattr(benching, "bench", interrupted)
    page = tmp_path / "load.html"
    loads = ("--callers", "1,2", "--seconds", "1", "--threads", "1")
    done = run("bench", packages["embed"], *loads, "--plot", page, "--json")
    assert done.code == 130
    found = json.loads(done.out)
    assert (found["ending"], [step["callers"] for step in found["steps"]]) == ("interrupted", [1])
    assert page.exists()


def test_rates_alone_as_a_table(run: Run, packages: Packages) -> None:
    done = run("bench", packages["rerank"], "--callers", "none", "--rates", "20", "--seconds", "0.6", "--table")
    assert done.code == 0, done.err
    assert "20.0 requests/s" in done.out
    assert "answers/s" in done.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--callers", "0"), "--callers must be positive integers separated by commas, but is '0'"),
        (("--callers", "1.5"), "--callers must be positive integers"),
        (("--rates", "1,x"), "--rates must be positive numbers separated by commas, but is '1,x'"),
        (("--callers", "none", "--seconds", "0"), "seconds"),
        (("--plot", "load.txt"), "must end in .html"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    run: Run, packages: Packages, options: tuple[str, ...], message: str
) -> None:
    done = run("bench", packages["embed"], *options)
    assert (done.code, message in done.err) == (2, True), done.err


def test_nothing_to_measure_is_refused(run: Run, packages: Packages) -> None:
    done = run("bench", packages["embed"], "--callers", "none", "--seconds", "1")
    assert (done.code, "there is nothing to measure" in done.err) == (2, True), done.err


def test_a_server_is_measured_from_outside(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "load.html"
    loads = ("--callers", "1,2", "--rates", "40", "--seconds", "1.2", "--plot", page, "--table")
    with serving(openai) as url:
        done = run("bench", url, *loads)
    assert done.code == 0, done.err
    assert f"tiny (embed), it, {url} by openai" in done.out
    assert "own CPU" in done.out
    assert "padding" not in done.out
    assert f"{url} (openai)" in page.read_text()


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("http://127.0.0.1:9", ("--threads", "2"), "--threads does not apply to a server"),
        ("http://127.0.0.1:9", ("--trust-code",), "--trust-code does not apply to a server"),
        ("a.mlpkg", ("--api", "tei"), "--api does not apply to a package"),
    ],
)
def test_options_that_say_nothing_are_refused(run: Run, target: str, options: tuple[str, ...], message: str) -> None:
    done = run("bench", target, *options)
    assert (done.code, message in done.err) == (2, True), done.err


def test_a_server_that_dies_meanwhile_fails_the_command_after_its_report(run: Run) -> None:
    began_s: list[float] = []

    def answer(path: str, body: bytes) -> Reply:
        began_s.append(time.monotonic())
        return HANG_UP if began_s[-1] - began_s[0] > 0.8 else openai(path, body)

    with serving(answer) as url:
        done = run(
            "bench", url.replace("http", "HTTP"), "--callers", "1", "--rates", "20,20", "--seconds", "2", "--json"
        )
    assert (done.code, "the server is gone, after" in done.err) == (1, True), done.err
    assert json.loads(done.out)["steps"]
