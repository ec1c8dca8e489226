"""Fast start: the artifact that loads fastest serves until the best one has proven itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from inferox import Engine, EngineConfig
from inferox.core import BackendUnavailableError, ConfigError, LoadError, NoUsableBackendError
from tests.engine.models import double
from tests.engine.packages import DoublingBackend, Shelf
from tests.engine.test_failover import wait_until

QUICK, BEST = "onnxruntime/quick/fp32/padded", "openvino/best/fp32/padded"


class Gate:
    """Keeps the best artifact from loading until it is opened; then it may fail, too."""

    def __init__(self) -> None:
        self.is_waited_at, self.may_go = Event(), Event()
        self.error: Exception | None = None
        self.attempts = 0


@pytest.fixture
def gate(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate, opened = Gate(), DoublingBackend._open

    def open_slowly(backend: DoublingBackend, artifact: Any, *arguments: Any) -> Any:
        if artifact.format == "best":
            gate.is_waited_at.set()
            assert gate.may_go.wait(20)
            gate.attempts += 1
            if gate.error is not None:
                raise gate.error
        return opened(backend, artifact, *arguments)

    monkeypatch.setattr(DoublingBackend, "_open", open_slowly)
    shelf.put("p", ["best", "quick"], backends={"best": "openvino", "quick": "onnxruntime"})
    yield gate
    gate.may_go.set()


def test_the_best_takes_over_once_it_passes_all_samples(shelf: Shelf, gate: Gate) -> None:
    with Engine() as engine:
        info = engine.load("p", name="sum", start="fast")
        assert (info.artifact, info.standby) == (QUICK, (BEST,))
        assert len(shelf.backend.find("quick").batches) == 1  # of the smallest sample
        assert engine.infer("sum", [[1]]).artifact == QUICK
        gate.may_go.set()
        wait_until(lambda: engine.models()[0].artifact == BEST)
        assert len(shelf.backend.find("best").batches) == 2
        assert engine.infer("sum", [[1]]).artifact == BEST
        wait_until(lambda: shelf.backend.find("quick").is_closed)
        assert engine.stats("sum").failovers == 0


def test_requests_are_of_one_artifact_each_while_it_takes_over(shelf: Shelf, gate: Gate) -> None:
    shelf.backend.marks = {"quick": 1, "best": 2}
    with Engine(EngineConfig(max_batch_tokens=64)) as engine, ThreadPoolExecutor(8) as pool:
        engine.load("p", name="sum", start="fast")

        def ask(index: int) -> str:
            if index == 20:
                gate.may_go.set()
            items = [[number] * 8 for number in range(100 + index, 140 + index)]
            answer = engine.infer("sum", items)
            mark = 1 if answer.artifact == QUICK else 2
            assert answer.results == [8 * (2 * item[0] + mark) for item in items]
            return answer.artifact

        seen = set(pool.map(ask, range(40)))
        wait_until(lambda: engine.models()[0].artifact == BEST)
        assert seen | {ask(50)} == {QUICK, BEST}


def test_the_best_is_tried_again_where_it_fails(shelf: Shelf, gate: Gate) -> None:
    shelf.backend.broken["best"] = "wrong"
    gate.may_go.set()
    with Engine(EngineConfig(retry_s=0.005)) as engine:
        engine.load("p", name="sum", start="fast")
        wait_until(lambda: gate.attempts > 1)
        assert engine.infer("sum", [[1, 2]]).results == double([[1, 2]])
        assert engine.models()[0].artifact == QUICK
        shelf.backend.broken.clear()
        wait_until(lambda: engine.models()[0].artifact == BEST)


def test_one_whose_runtime_is_not_there_is_not_tried_again(gate: Gate) -> None:
    gate.error = BackendUnavailableError("openvino is not installed")
    gate.may_go.set()
    with Engine(EngineConfig(retry_s=0.001)) as engine:
        engine.load("p", name="sum", start="fast")
        for thread in threading.enumerate():
            if thread.name == "inferox-sum-probe":
                thread.join(20)
        assert gate.attempts == 1
        assert engine.infer("sum", [[1]]).artifact == QUICK


def test_where_the_quick_one_fails_the_best_is_waited_for(shelf: Shelf, gate: Gate) -> None:
    shelf.backend.broken["quick"] = "lost"
    gate.may_go.set()
    with Engine() as engine:
        assert engine.load("p", name="sum", start="fast").artifact == BEST
        gate.error = RuntimeError("lost as well")
        with pytest.raises(NoUsableBackendError, match="lost as well"):
            engine.load("p", name="other", start="fast")


def test_an_engine_that_is_closed_waits_for_what_it_prepares(shelf: Shelf, gate: Gate) -> None:
    with ThreadPoolExecutor(1) as pool:
        engine = Engine()
        engine.load("p", name="sum", start="fast")
        assert gate.is_waited_at.wait(20)  # before, there would be nothing to wait for
        closed = pool.submit(engine.close)
        with pytest.raises(TimeoutError):
            closed.result(0.1)
        gate.may_go.set()
        closed.result(20)
    assert all(model.is_closed for model in shelf.backend.models)


def test_one_that_is_to_be_compiled_serves_before_that_and_takes_over_from_itself(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_compile, opened, attempts = Event(), DoublingBackend._open, list[str]()

    def open_slowly(backend: DoublingBackend, artifact: Any, device: Any, options: Any) -> Any:
        assert not options.compile or may_compile.wait(20)
        if options.compile and artifact.format == "packed":
            attempts.append(artifact.format)
            raise LoadError("a packed artifact cannot be compiled just in time")
        return opened(backend, artifact, device, options)

    monkeypatch.setattr(DoublingBackend, "_open", open_slowly)
    shelf.put("p", ["packed", "best", "other"], backends={"packed": "openvino", "best": "onnxruntime"})
    with Engine(EngineConfig(retry_s=0.001)) as engine:
        loaded = engine.load("p", name="sum", start="fast", compile=True)
        first = shelf.backend.find("best")
        assert not first.is_compiled
        assert engine.infer("sum", [[1]]).artifact == loaded.artifact == first.metadata.artifact
        may_compile.set()
        wait_until(lambda: first.is_closed)
        assert [(model.metadata.format, model.is_compiled) for model in shelf.backend.models] == [
            ("best", False),
            ("best", True),
        ]
        assert len(shelf.backend.models[1].batches) == 2  # it has computed all samples
        for thread in threading.enumerate():
            if thread.name == "inferox-sum-probe":
                thread.join(20)
        assert attempts == ["packed"]  # and nothing else, as if it had not been started fast
        assert engine.infer("sum", [[1, 2]]).results == double([[1, 2]])
        assert engine.models()[0].artifact == loaded.artifact
        assert engine.stats("sum").failovers == 0


def test_where_it_cannot_be_compiled_it_goes_on_as_it_is(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, attempts = DoublingBackend._open, list[str]()

    def refuse_to_compile(backend: DoublingBackend, artifact: Any, device: Any, options: Any) -> Any:
        if options.compile:
            attempts.append(artifact.format)
            raise LoadError("it compiles nothing just in time")
        return opened(backend, artifact, device, options)

    monkeypatch.setattr(DoublingBackend, "_open", refuse_to_compile)
    shelf.put("p", ["best"])
    with Engine(EngineConfig(retry_s=0.005)) as engine:
        engine.load("p", name="sum", start="fast", compile=True)
        wait_until(lambda: len(attempts) > 2)
        assert engine.infer("sum", [[1, 2]]).results == double([[1, 2]])


def test_starts_that_are_wrong(minilm_directory: Any) -> None:
    with Engine() as engine, pytest.raises(ConfigError, match="start must be 'best' or 'fast', but is 'slow'"):
        engine.load(minilm_directory, start="slow")
