"""Versions and labels: a new version takes over once it has proven itself, but never within a request."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from inferox import Engine, EngineConfig
from inferox.core import ConfigError, ModelNotFoundError, NoUsableBackendError
from tests.engine.models import DoublingModel, SumTask, load_doubling
from tests.engine.packages import Shelf, make_samples


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Three versions, each of which adds its number to the sums."""
    with Engine() as engine:
        for version in (1, 2, 3):
            task = SumTask(read=lambda total, version=version: total + version)  # type: ignore[misc]
            engine.register(load_doubling(task=task), version=str(version))
        yield engine


def ask(engine: Engine, version: str | None = None) -> str:
    answer = engine.infer("doubling", [[1]], version=version)
    assert answer.results == [2 + int(answer.version)]
    return answer.version


def test_requests_may_say_a_label(engine: Engine) -> None:
    engine.label("doubling", "stable", "1")
    engine.label("doubling", "canary", "2")
    assert [ask(engine, label) for label in ("stable", "canary", "latest", None, "2")] == ["1", "2", "3", "3", "2"]
    assert [info.labels for info in engine.models()] == [("stable",), ("canary",), ("latest",)]
    engine.label("doubling", "stable", "2")
    assert ask(engine, "stable") == "2"
    assert list(engine.stream("doubling", [[1]], version="stable")) == [4]
    assert engine.stats("doubling", "stable").rows == engine.stats("doubling", "2").rows
    engine.label("doubling", "stable", None)
    with pytest.raises(
        ModelNotFoundError, match=r"no version 'stable' of 'doubling' is loaded \(it has 1, 2, 3, canary\)"
    ):
        ask(engine, "stable")
    with pytest.raises(ModelNotFoundError, match=r"'doubling' has no label 'stable' \(its labels are canary\)"):
        engine.label("doubling", "stable", None)
    engine.label("doubling", "canary", None)
    with pytest.raises(ModelNotFoundError, match=r"'doubling' has no label 'canary' \(it has none\)"):
        engine.label("doubling", "canary", None)


def test_what_changes_a_version_does_not_take_its_label(engine: Engine) -> None:
    engine.label("doubling", "stable", "1")
    with pytest.raises(ModelNotFoundError, match="'stable' is a label of the version '1'"):
        engine.unload("doubling", "stable")
    with pytest.raises(ModelNotFoundError, match="'stable' is a label of the version '1'"):
        engine.label("doubling", "old", "stable")
    assert ask(engine, "stable") == "1"


@pytest.mark.parametrize(
    ("label", "version", "message"),
    [
        ("latest", "1", "always stands for the version that was loaded last"),
        ("2", "1", "'2' is a version"),
        ("no label", "1", "must begin with a letter"),
        ("", "1", "must begin with a letter"),
    ],
)
def test_labels_that_are_refused(engine: Engine, label: str, version: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        engine.label("doubling", label, version)


def test_labels_stand_for_versions_that_are_there(engine: Engine) -> None:
    with pytest.raises(ModelNotFoundError):
        engine.label("doubling", "stable", "9")
    with pytest.raises(ModelNotFoundError):
        engine.label("other", "stable", "1")
    engine.label("doubling", "stable", "1")
    for label in ("stable", "latest"):
        with pytest.raises(ConfigError, match="is a label of 'doubling'"):
            engine.register(load_doubling(), version=label)


def test_a_version_with_a_label_is_unloaded_only_where_that_is_said(engine: Engine) -> None:
    engine.label("doubling", "stable", "1")
    with pytest.raises(ConfigError, match="version '1' of 'doubling' has the label 'stable'"):
        engine.unload("doubling", "1")
    assert ask(engine, "stable") == "1"
    engine.unload("doubling", "1", drop_labels=True)
    with pytest.raises(ModelNotFoundError):
        ask(engine, "stable")
    engine.register(load_doubling(task=SumTask(read=lambda total: total + 1)), version="1")
    with pytest.raises(ModelNotFoundError):
        ask(engine, "stable")
    engine.unload("doubling", "1")
    engine.unload("doubling", "3")  # ``latest`` moves on by itself
    assert ask(engine, "latest") == "2"
    engine.label("doubling", "stable", "2")
    engine.unload("doubling")
    engine.register(load_doubling(), version="stable")  # nothing is left of the labels


def test_a_version_that_fails_its_samples_is_refused_while_the_old_one_goes_on(shelf: Shelf) -> None:
    shelf.put("good", ["a"])
    shelf.put("broken", ["b", "c"])
    with Engine() as engine:
        engine.load("good", name="sum")
        shelf.backend.broken = {"b": "wrong", "c": "raises"}
        with pytest.raises(NoUsableBackendError) as caught:
            engine.load("broken", name="sum", version="2")
        assert "b/fp32/padded computes something else here" in str(caught.value)
        assert "c is broken" in str(caught.value)
        assert [info.version for info in engine.models()] == ["1"]
        assert engine.infer("sum", [[1, 2]]).results == [6]
        assert all(model.is_closed for model in shelf.backend.models[1:])


def test_every_stored_sample_counts(shelf: Shelf) -> None:
    def double_short_ones(numbers: np.ndarray) -> np.ndarray:
        return numbers * (2 if numbers.shape[1] == 3 else 4)

    shelf.put("long", ["a"], samples=make_samples(double_short_ones))
    with Engine() as engine, pytest.raises(NoUsableBackendError, match="computes something else here"):
        engine.load("long")


def test_the_old_version_serves_until_the_new_one_is_proven(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.put("old", ["a"])
    shelf.put("new", ["b"])
    with Engine() as engine:
        engine.load("old", name="sum")
        seen: list[str] = []
        compute = DoublingModel._compute

        def ask_meanwhile(model: DoublingModel, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            if model.metadata.format == "b" and len(seen) < 2:
                seen.append(engine.infer("sum", [[1]]).version)
            return compute(model, inputs)

        monkeypatch.setattr(DoublingModel, "_compute", ask_meanwhile)
        engine.load("new", name="sum", version="2")
        assert seen == ["1", "1"]  # while each of the two samples is computed
        assert engine.infer("sum", [[1]]).version == "2"


def test_no_request_mixes_versions_while_they_come_and_go_under_load(shelf: Shelf) -> None:
    """The numbers show which version computed them."""
    for version in range(12):
        shelf.put(f"p{version}", [f"a{version}"])
        shelf.backend.marks[f"a{version}"] = version

    def ask_for(engine: Engine, first: int) -> str:
        items = [[number] * 30 for number in range(100 + first, 109 + first)]
        answer = engine.infer("sum", items)
        assert answer.results == [30 * (2 * item[0] + int(answer.version)) for item in items]
        return answer.version

    with Engine(EngineConfig(max_batch_tokens=64)) as engine, ThreadPoolExecutor(8) as pool:
        engine.load("p0", name="sum", version="0")
        asked = []
        for version in range(1, 12):
            asked += [pool.submit(ask_for, engine, first) for first in range(8)]
            before = shelf.backend.models[-1]
            engine.load(f"p{version}", name="sum", version=str(version))
            engine.unload("sum", str(version - 1))
            assert before.is_closed
        assert len({future.result(20) for future in asked}) > 1


def test_nothing_is_left_of_a_version_that_was_unloaded(shelf: Shelf) -> None:
    """This does not need the garbage collector: packages have files open, and samples are large."""
    shelf.put("p", ["a", "b"])
    gc.disable()
    try:
        with Engine() as engine:
            engine.load("p", version="1")
            engine.infer("p", [[1], [2]])
            engine.infer_many("p", [[[1]], [[2]]])
            shelf.backend.broken["a"] = "raises"
            engine.infer("p", [[1]])
            shelf.backend.broken.clear()
            engine.load("p", version="2")
            engine.unload("p", "1")
            first, second = shelf.opened
            assert first() is None
            assert second() is not None
    finally:
        gc.enable()
