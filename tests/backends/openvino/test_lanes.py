"""Calls beside one that fails inside a graph of OpenVINO do not pay for what must be compiled again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, cast

import numpy as np
import openvino
import pytest

from inferox.backends.openvino import OpenVinoBackend, compilation, lanes
from inferox.backends.openvino.lanes import Lanes
from inferox.backends.openvino.model import OpenVinoModel
from inferox.core import ExecutionError, LoadOptions
from tests.backends.test_failures_in_graphs import FAILURES, Failure
from tests.backends.test_graphs import make_artifact, save_graph

HUNG_S = 20.0
"""The time after which a call that waits for something is taken to wait for ever."""

WAITS = "a neighbour waits for the compilation"

WAITS_TO_COMPILE = "waits to compile"

STREAMS = 3


class Compiler:
    """Compiles graphs, and has one wait where a test says so."""

    def __init__(self) -> None:
        self.count = 0
        self.before: Callable[[], object] = lambda: None
        self.lacks_memory_for_lanes = False
        self._compile = compilation.compile_model

    def compile(self, *args: Any, **options: Any) -> openvino.CompiledModel:
        self.count += 1
        self.before()
        if self.lacks_memory_for_lanes and options["streams"] > 1:
            raise RuntimeError("std::bad_alloc")
        return self._compile(*args, **options)


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Compiler:
    compiler = Compiler()
    monkeypatch.setattr(compilation, "compile_model", compiler.compile)
    return compiler


@pytest.fixture(params=FAILURES)
def failure(request: pytest.FixtureRequest) -> Failure:
    return FAILURES[request.param]


@pytest.fixture
def model(failure: Failure, compiler: Compiler, tmp_path: Path) -> Iterator[OpenVinoModel]:  # noqa: ARG001 - it compiles
    graph = save_graph(tmp_path / "graph.onnx", failure.signature, failure.nodes, **failure.weights)
    artifact = make_artifact(graph.path("graph"), failure.signature, backend="openvino")
    with OpenVinoBackend().load(artifact, None, LoadOptions("graph", threads=2, streams=STREAMS)) as model:
        yield cast("OpenVinoModel", model)


def check(model: OpenVinoModel, failure: Failure, times: int = 1) -> None:
    for _ in range(times):
        for call, expected in failure.good:
            np.testing.assert_allclose(model.forward(call)["y"].numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("is_alone", [True, False])
def test_neighbours_do_not_wait_for_what_a_failed_call_compiles(
    model: OpenVinoModel, failure: Failure, compiler: Compiler, is_alone: bool
) -> None:
    """Wherever it failed, and even if there are more callers than lanes."""
    with model._counted():  # a call that is not alone
        check(model, failure)
    compiles, have_answered = Event(), Event()

    def wait() -> None:
        compiles.set()
        have_answered.wait(HUNG_S)

    with ThreadPoolExecutor(2 * STREAMS + 1) as pool:
        with ExitStack() as others:
            if not is_alone:
                others.enter_context(model._counted())
            compiler.before = wait
            failing = pool.submit(model.forward, failure.bad)
            assert compiles.wait(HUNG_S)
            neighbours = [pool.submit(check, model, failure, 5) for _ in range(2 * STREAMS)]
            for neighbour in neighbours:
                neighbour.result(HUNG_S / 2)
        assert not failing.done()
        have_answered.set()
        with pytest.raises(ExecutionError):
            failing.result(HUNG_S)
    compiler.before = lambda: None
    check(model, failure)


def test_neighbours_of_a_caller_who_keeps_failing_go_on(
    model: OpenVinoModel, failure: Failure, compiler: Compiler
) -> None:
    """Each of its calls waits until every neighbour has answered once more, or there is no end to it."""
    with model._counted():
        check(model, failure)
    answers = [0] * (STREAMS - 1)
    is_over = Event()

    def answer(index: int) -> None:
        while not is_over.is_set():
            check(model, failure)
            answers[index] += 1

    def wait() -> None:
        before = list(answers)
        ends_s = time.monotonic() + HUNG_S
        while any(now < then + 2 for now, then in zip(answers, before, strict=True)):
            assert time.monotonic() < ends_s, WAITS
            time.sleep(0.001)

    with ThreadPoolExecutor(len(answers)) as pool:
        neighbours = [pool.submit(answer, index) for index in range(len(answers))]
        try:
            compiler.before = wait
            for _ in range(5):
                with pytest.raises(ExecutionError) as raised:
                    model.forward(failure.bad)
                assert WAITS not in str(raised.value)
        finally:
            is_over.set()
        for neighbour in neighbours:
            neighbour.result(HUNG_S)


def test_a_call_that_others_keep_failing_before_has_a_compilation_of_its_own(
    model: OpenVinoModel, failure: Failure, compiler: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[object] = []
    monkeypatch.setattr(model._whole, "compute", lambda infer, **_: lost.append(infer))
    before = compiler.count
    check(model, failure)
    assert len(lost) == 3 * len(failure.good)
    assert compiler.count == before + len(failure.good)


class InterruptedLock:
    """A lock, the first wait for which Ctrl-C ends."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._is_interrupted = False

    def acquire(self, *, blocking: bool) -> bool:
        return self._lock.acquire(blocking=blocking)

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> None:
        if not self._is_interrupted:
            self._is_interrupted = True
            raise KeyboardInterrupt
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def interrupt_after(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
    """Has Ctrl-C come at the end of the first call of a function."""
    function, calls = getattr(owner, name), []

    def call(*args: Any) -> Any:
        found = function(*args)
        calls.append(found)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(owner, name, call)


INTERRUPTIONS: dict[str, Callable[[pytest.MonkeyPatch, OpenVinoModel, Lanes], None]] = {
    "takes": lambda patch, _, used: interrupt_after(patch, used._current, "take"),
    "computes": lambda patch, model, _: interrupt_after(patch, model, "_infer"),
    "looks at the others": lambda patch, _, __: interrupt_after(patch, lanes, "_has_failed"),
    "gives back": lambda patch, _, used: interrupt_after(patch, used._current, "give_back"),
    WAITS_TO_COMPILE: lambda patch, _, used: patch.setattr(used, "_compiling", InterruptedLock()),
}


def in_time(function: Callable[[], object]) -> None:
    """Calls a function in a thread, which may hang for ever."""
    raised: list[BaseException | None] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - it is looked at below
            raised.append(error)
        else:
            raised.append(None)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(HUNG_S / 4)
    assert raised == [None]


@pytest.mark.parametrize("is_alone", [True, False])
@pytest.mark.parametrize("moment", INTERRUPTIONS)
def test_calls_after_one_that_is_interrupted_do_not_hang(
    model: OpenVinoModel,
    failure: Failure,
    compiler: Compiler,
    monkeypatch: pytest.MonkeyPatch,
    *,
    moment: str,
    is_alone: bool,
) -> None:
    """Nor does the interrupted one compile anything before it ends."""
    with model._counted():
        check(model, failure)
    before = compiler.count
    with ExitStack() as others:
        if not is_alone:
            others.enter_context(model._counted())
        INTERRUPTIONS[moment](monkeypatch, model, model._whole if is_alone else model._lanes)
        with pytest.raises(KeyboardInterrupt):
            model.forward(failure.bad if moment == WAITS_TO_COMPILE else failure.good[0][0])
        assert compiler.count == before
        in_time(lambda: check(model, failure, STREAMS))
        assert compiler.count <= before + 1


def test_calls_that_wait_for_an_interrupted_one_are_computed(
    model: OpenVinoModel, failure: Failure, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = model._whole._current
    assert requests is not None
    infer, answered = model._infer, Event()

    def answer() -> None:
        check(model, failure)
        answered.set()

    def interrupt(*_: object) -> None:
        monkeypatch.setattr(model, "_infer", infer)
        Thread(target=answer, daemon=True).start()
        ends_s = time.monotonic() + HUNG_S
        while not requests._waiting and time.monotonic() < ends_s:
            time.sleep(0.001)
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "_infer", interrupt)
    monkeypatch.setattr(model._lanes, "compute", lambda *_, **__: None)
    with pytest.raises(KeyboardInterrupt):
        model.forward(failure.good[0][0])
    assert answered.wait(HUNG_S / 4)


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_call_that_fails_after_the_model_is_closed_compiles_nothing(
    model: OpenVinoModel, failure: Failure, compiler: Compiler, monkeypatch: pytest.MonkeyPatch, is_alone: bool
) -> None:
    with model._counted():
        check(model, failure)
    infer, before = model._infer, compiler.count

    def close(*args: Any) -> Any:
        model.close()
        return infer(*args)

    monkeypatch.setattr(model, "_infer", close)
    with ExitStack() as others:
        if not is_alone:
            others.enter_context(model._counted())
        with pytest.raises(ExecutionError):
            model.forward(failure.bad)
    assert compiler.count == before
    assert model._whole._current is model._lanes._current is None


@pytest.mark.parametrize("is_first", [True, False])
def test_without_memory_for_lanes_calls_take_turns(
    model: OpenVinoModel,
    failure: Failure,
    compiler: Compiler,
    caplog: pytest.LogCaptureFixture,
    is_first: bool,
) -> None:
    """They are compiled in vain once, whether when they are first needed or after a failure, and that is logged."""
    with model._counted():
        if not is_first:
            check(model, failure)
        compiler.lacks_memory_for_lanes = True
        before = compiler.count
        if not is_first:
            with pytest.raises(ExecutionError, match=r"failed while computing|gave y the shape"):
                model.forward(failure.bad)
        check(model, failure, 2)
        assert compiler.count == before + 1
        with pytest.raises(ExecutionError):
            model.forward(failure.bad)
        check(model, failure)
        assert compiler.count == before + 2  # that of the whole
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "take turns: openvino does not have enough memory" in record.getMessage()
