"""Every way in which a graph can fail inside, on every runtime, with one thread, two, and one per core."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import NodeProto, helper

from inferox.backends.onnxruntime import OnnxRuntimeBackend
from inferox.backends.openvino import OpenVinoBackend
from inferox.core import Backend, DataType, ExecutionError, LoadError, LoadOptions, Model, Signature, TensorSpec
from inferox.sources.openvino_run import open_openvino
from tests.backends.test_graphs import make_artifact, save_graph

Call = dict[str, npt.NDArray[Any]]

RUNTIMES = [OnnxRuntimeBackend(), OpenVinoBackend()]
THREADS = sorted({1, 2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1})
F32, I64 = DataType.F32, DataType.I64

NUMBERS = np.random.default_rng(0)
TABLE = NUMBERS.standard_normal((10, 3)).astype(np.float32)


def floats(*shape: int) -> npt.NDArray[np.float32]:
    return NUMBERS.standard_normal(shape).astype(np.float32)


def spec(name: str, *dims: str | int, dtype: DataType = F32) -> TensorSpec:
    return TensorSpec(name, dtype, dims)


@dataclass(frozen=True)
class Failure:
    """A graph, three calls that it computes, with their outputs, and one on which it fails."""

    signature: Signature
    nodes: list[NodeProto]
    weights: Call
    good: list[tuple[Call, npt.NDArray[Any]]]
    bad: Call


def sums(rows: int, left: int, right: int) -> Call:
    return {"x": floats(rows, left), "z": floats(rows, right)}


def make_slice() -> Failure:
    """BERT's positions: a slice, as long as the tokens, of a table of 8; it does not broadcast with more tokens."""
    positions = floats(1, 8)
    calls = [floats(2, length) for length in (5, 5, 7)]
    return Failure(
        Signature((spec("x", "batch", "seq"),), (spec("y", "batch", "seq"),)),
        [
            helper.make_node("Shape", ["x"], ["length"], start=1, end=2),
            helper.make_node("Slice", ["positions", "zero", "length", "one"], ["cut"]),
            helper.make_node("Add", ["x", "cut"], ["y"]),
        ],
        {"positions": positions, "zero": np.array([0]), "one": np.array([1])},
        [({"x": x}, x + positions[:, : x.shape[1]]) for x in calls],
        {"x": floats(2, 9)},
    )


def make_broadcast() -> Failure:
    calls = [sums(2, 5, 5) for _ in range(3)]
    return Failure(
        Signature((spec("x", "batch", "seq"), spec("z", "batch", "more")), (spec("y", "batch", "seq"),)),
        [helper.make_node("Add", ["x", "z"], ["y"])],
        {},
        [(call, call["x"] + call["z"]) for call in calls],
        sums(2, 5, 4),
    )


def make_reshape() -> Failure:
    calls = [floats(2, length) for length in (8, 8, 16)]
    return Failure(
        Signature((spec("x", "batch", "seq"),), (spec("y", "batch"),)),
        [
            helper.make_node("Reshape", ["x", "shape"], ["blocks"]),
            helper.make_node("ReduceMax", ["blocks"], ["y"], axes=[1, 2], keepdims=0),
        ],
        {"shape": np.array([0, -1, 4])},
        [({"x": x}, x.max(axis=1)) for x in calls],
        {"x": floats(2, 7)},
    )


def make_product() -> Failure:
    calls = [{"x": floats(2, 5), "z": floats(5, 4)} for _ in range(3)]
    return Failure(
        Signature((spec("x", "batch", "seq"), spec("z", "rows", 4)), (spec("y", "batch", 4),)),
        [helper.make_node("MatMul", ["x", "z"], ["y"])],
        {},
        [(call, call["x"] @ call["z"]) for call in calls],
        {"x": floats(2, 5), "z": floats(6, 4)},
    )


def make_concatenation() -> Failure:
    calls = [{"x": floats(2, 5), "z": floats(2, 4)} for _ in range(3)]
    return Failure(
        Signature((spec("x", "batch", "seq"), spec("z", "more", 4)), (spec("y", "batch"),)),
        [
            helper.make_node("Concat", ["x", "z"], ["both"], axis=1),
            helper.make_node("ReduceMax", ["both"], ["y"], axes=[1], keepdims=0),
        ],
        {},
        [(call, np.concatenate(list(call.values()), axis=1).max(axis=1)) for call in calls],
        {"x": floats(2, 5), "z": floats(3, 4)},
    )


def make_expansion() -> Failure:
    calls = [({"x": floats(2, 1), "to": np.array([2, n])}, n) for n in (3, 3, 4)]
    return Failure(
        Signature((spec("x", "batch", "seq"), spec("to", 2, dtype=I64)), (spec("y", "batch", "wide"),)),
        [helper.make_node("Expand", ["x", "to"], ["y"])],
        {},
        [(call, np.repeat(call["x"], n, axis=1)) for call, n in calls],
        {"x": floats(2, 2), "to": np.array([2, 3])},
    )


FAILURES = {
    "slice": make_slice(),
    "broadcast": make_broadcast(),
    "reshape": make_reshape(),
    "product": make_product(),
    "concatenation": make_concatenation(),
    "expansion": make_expansion(),
}


@pytest.fixture(params=FAILURES)
def failure(request: pytest.FixtureRequest) -> Failure:
    return FAILURES[request.param]


@pytest.fixture(params=THREADS)
def threads(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(params=RUNTIMES, ids=lambda backend: backend.name)
def model(request: pytest.FixtureRequest, failure: Failure, threads: int, tmp_path: Path) -> Iterator[Model]:
    backend: Backend = request.param
    graph = save_graph(tmp_path / "graph.onnx", failure.signature, failure.nodes, **failure.weights)
    artifact = make_artifact(graph.path("graph"), failure.signature, backend=backend.name)
    with backend.load(artifact, None, LoadOptions("graph", threads=threads)) as model:
        yield model


def test_a_failure_is_raised_and_the_next_calls_are_right(model: Model, failure: Failure) -> None:
    for _ in range(2):
        for call, expected in failure.good:
            np.testing.assert_allclose(model.forward(call)["y"].numpy(), expected, rtol=1e-5, atol=1e-6)
            with pytest.raises(ExecutionError):
                model.forward(failure.bad)


def test_the_first_call_fails(model: Model, failure: Failure) -> None:
    with pytest.raises(ExecutionError):
        model.forward(failure.bad)
    for call, expected in failure.good:
        np.testing.assert_allclose(model.forward(call)["y"].numpy(), expected, rtol=1e-5, atol=1e-6)


def test_one_of_many_calls_at_once_fails(model: Model, failure: Failure) -> None:
    """Everything that is computed beside it or after it is right."""
    pairs = failure.good * 12
    place = 2 * len(pairs) // 3
    calls = [call for call, _ in pairs]
    calls.insert(place, failure.bad)
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(model.forward, call) for call in calls]
        with pytest.raises(ExecutionError):
            answers.pop(place).result()
        again = [pool.submit(model.forward, call) for call, _ in pairs]
        for (_, expected), first, second in zip(pairs, answers, again, strict=True):
            np.testing.assert_allclose(first.result()["y"].numpy(), expected, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(second.result()["y"].numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cores", [1, 2])
def test_a_reference_that_failed_computes_right_again(
    tmp_path: Path, failure: Failure, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferox.sources.openvino_run.resolve_threads", lambda _: cores)
    artifact = save_graph(tmp_path / "graph.onnx", failure.signature, failure.nodes, **failure.weights)
    run = open_openvino(artifact.path("graph"), failure.signature.inputs, ["y"])
    for call, expected in failure.good:
        np.testing.assert_allclose(run(call)["y"], expected, rtol=1e-5, atol=1e-6)
        with pytest.raises(ExecutionError):
            run(failure.bad)


def test_a_failure_is_only_reported_by_the_error(
    model: Model, failure: Failure, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Runtimes that also print it, in colours and with locations in their own code, are kept from that."""
    with pytest.raises(ExecutionError):
        model.forward(failure.bad)
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(graph.read_bytes().replace(b"y", b"z", 1))
    for backend in RUNTIMES:
        artifact = make_artifact(graph, failure.signature, backend=backend.name)
        with pytest.raises(LoadError):
            backend.load(artifact, None, LoadOptions("graph"))
    assert capfd.readouterr() == ("", "")
