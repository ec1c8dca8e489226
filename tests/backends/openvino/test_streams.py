"""The number of concurrent calls among which OpenVINO divides its threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
import openvino
import pytest

from inferox.backends.openvino import OpenVinoBackend
from inferox.backends.openvino.model import OpenVinoModel
from inferox.backends.openvino.request import compute
from inferox.core import Artifact, ConfigError, LoadOptions
from inferox.testing.mlp import mlp_inputs, mlp_outputs
from tests.backends.openvino.test_conformance import TestOnnx as Perceptron

THREADS = 2

WAIT_S = 60.0
"""The time after which calls that wait for each other have failed to compute at the same time."""


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return Perceptron.make_artifact(tmp_path_factory.mktemp("streams"))


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The streams and the threads for which each compilation asks."""
    found: list[tuple[int, int]] = []
    compile_model = openvino.Core.compile_model

    def compile_and_tell(core: openvino.Core, model: Any, device: str, settings: dict[str, Any]) -> Any:
        found.append((settings["NUM_STREAMS"], settings["INFERENCE_NUM_THREADS"]))
        return compile_model(core, model, device, settings)

    monkeypatch.setattr(openvino.Core, "compile_model", compile_and_tell)
    return found


@pytest.fixture
def load(artifact: Artifact) -> Iterator[Callable[[int | None], OpenVinoModel]]:
    opened: list[OpenVinoModel] = []

    def load(streams: int | None) -> OpenVinoModel:
        options = LoadOptions("streams", threads=THREADS, streams=streams)
        opened.append(cast("OpenVinoModel", OpenVinoBackend().load(artifact, None, options)))
        return opened[-1]

    yield load
    for model in opened:
        model.close()


@pytest.mark.parametrize(("streams", "lanes"), [(None, THREADS), (1, 1), (2, 2), (5, 5)])
def test_as_many_calls_compute_at_once_as_there_are_streams(
    load: Callable[[int | None], OpenVinoModel],
    compiled: list[tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
    streams: int | None,
    lanes: int,
) -> None:
    """Each call waits within the runtime until there are as many, so that fewer lanes would leave them waiting."""
    together, lock = threading.Barrier(lanes), threading.Lock()
    computing, used, most = 0, set[openvino.InferRequest](), 0

    def compute_together(request: openvino.InferRequest) -> None:
        nonlocal computing, most
        with lock:
            used.add(request)
            computing += 1
            most = max(most, computing)
        together.wait(WAIT_S)
        compute(request)
        with lock:
            computing -= 1

    model = load(streams)
    assert model.max_concurrency == lanes
    calls = [mlp_inputs(rows, seed=rows) for rows in range(1, 2 * lanes + 1)]
    with model._counted(), ThreadPoolExecutor(len(calls)) as pool:  # a call that is not alone gets a lane
        model.forward(calls[0])  # and the first to do so compiles them
        monkeypatch.setattr("inferox.backends.openvino.model.compute", compute_together)
        answers = list(pool.map(model.forward, calls))
    for call, found in zip(calls, answers, strict=True):
        np.testing.assert_allclose(found["y"].numpy(), mlp_outputs(call)["y"], rtol=1e-5, atol=1e-5)
    assert most == len(used) == lanes
    assert compiled == [(1, THREADS), (lanes, THREADS)]


def test_a_call_that_runs_alone_gets_all_threads_and_the_same_numbers(
    load: Callable[[int | None], OpenVinoModel], compiled: list[tuple[int, int]]
) -> None:
    model, whole = load(3), load(1)
    for rows in (1, 4, 33):
        call = mlp_inputs(rows, seed=rows)
        alone = model.forward(call)["y"].numpy()
        np.testing.assert_array_equal(alone, whole.forward(call)["y"].numpy())
        np.testing.assert_allclose(alone, mlp_outputs(call)["y"], rtol=1e-5, atol=1e-5)
    assert compiled == [(1, THREADS)] * 2


@pytest.mark.parametrize("streams", [0, -1])
def test_fewer_than_one_stream_is_refused(streams: int) -> None:
    with pytest.raises(ConfigError, match=f"streams must be a positive integer, but is {streams}"):
        LoadOptions("streams", streams=streams)
