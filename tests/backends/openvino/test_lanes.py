"""Calls beside one that fails inside a graph of OpenVINO do not pay for what must be compiled again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any, cast

import numpy as np
import openvino
import pytest

from inferox.backends.openvino import OpenVinoBackend, compilation
from inferox.backends.openvino.model import OpenVinoModel
from inferox.core import ExecutionError, LoadOptions
from tests.backends.test_failures_in_graphs import FAILURES, Failure
from tests.backends.test_graphs import make_artifact, save_graph

HUNG_S = 20.0
"""The time after which a call that waits for something is taken to wait for ever."""

WAITS = "a neighbour waits for the compilation"

STREAMS = 3


class Compiler:
    """Compiles graphs, and has one wait where a test says so."""

    def __init__(self) -> None:
        self.count = 0
        self.before: Callable[[], object] = lambda: None
        self._compile = compilation.compile_model

    def compile(self, *args: Any, **options: Any) -> openvino.CompiledModel:
        self.count += 1
        self.before()
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
