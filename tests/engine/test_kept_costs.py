"""The learned costs of a package's batches, which the next process knows from its first request on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inferox import Engine, EngineConfig
from inferox.engine.runner import ModelRunner
from inferox.engine.workload import Workload
from inferox.package import Store
from tests.engine.packages import Shelf


@pytest.fixture
def kept(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file in which a first engine saved that batches take at least 0.02 s."""
    monkeypatch.setenv("INFEROX_STORE", str(tmp_path / "store"))
    shelf.put("p", ["a"])
    with Engine() as engine:
        engine.load("p")
        shelf.backend.find("a").seconds = 0.02
        for _ in range(5):
            engine.infer("p", [[1], [2]])
    (path,) = Store().profiles.rglob("*.cost")
    return path


def is_priced() -> bool:
    """Returns whether a new engine knows the cost of 40 batches of one row each before its first request."""
    with Engine(EngineConfig(max_batch_rows=1)) as engine:
        engine.load("p")
        model = engine._models.find("p", None)
        assert isinstance(model, ModelRunner)
        needed_s = model.estimate_s(Workload.of_lengths([20] * 40))
        assert engine.infer("p", [[3]]).results == [6]
    assert needed_s is None or needed_s > 0.5
    return needed_s is not None


def test_a_new_engine_knows_before_its_first_request_what_it_takes(kept: Path) -> None:  # noqa: ARG001 - the file is there
    assert is_priced()


def change(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda data: {**data, **changes}


def differ(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda data: {**data, "conditions": {**data["conditions"], name: "another"}}


@pytest.mark.parametrize(
    "spoil",
    [
        change(version=2),
        change(seconds=[1, 2, 3]),
        change(seconds=[0, 0, 0, 0]),
        change(seconds=[-1, 0, 0, 1]),
        change(seconds=[1e300, 0, 0, 0]),
        change(seconds=[None, "1", True, []]),
        change(seconds="0.02"),
        change(conditions=[]),
        lambda data: {"version": 1, "seconds": data["seconds"]},
        lambda data: [data],
        *map(differ, ("digest", "artifact", "task", "machine", "threads", "device", "compile", "runtime", "inferox")),
    ],
)
def test_what_does_not_hold_here_or_cannot_be_read_is_not_used(kept: Path, spoil: Callable[[Any], Any]) -> None:
    kept.write_text(json.dumps(spoil(json.loads(kept.read_text()))))
    assert not is_priced()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{", b'{"seconds": NaN}', b"[" * 100_000])
def test_a_file_that_is_damaged_is_learned_anew(kept: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    kept.write_bytes(content)
    assert not is_priced()
    assert "cannot be read" in caplog.text
    assert json.loads(kept.read_text())["version"] == 1


def test_a_store_that_cannot_be_written_stops_nothing(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("INFEROX_STORE", str(tmp_path / "file" / "store"))
    shelf.put("p", ["a"])
    with Engine() as engine:
        engine.load("p")
        assert engine.infer("p", [[3]]).results == [6]
    assert "cannot be saved" in caplog.text


def test_it_is_kept_while_the_engine_serves(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process may be killed."""
    monkeypatch.setenv("INFEROX_STORE", str(tmp_path / "store"))
    shelf.put("p", ["a"])
    with Engine() as engine:
        engine.load("p")
        for number in range(40):
            engine.infer("p", [[number]])
        assert len(list(Store().profiles.rglob("*.cost"))) == 1


def test_models_that_come_from_no_package_keep_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("INFEROX_STORE", str(tmp_path / "store"))
    assert engine.infer("doubling", [[3]]).results == [6]
    engine.unload("doubling")
    assert not (tmp_path / "store").exists()
