"""Graphs on the runtimes that read them: inputs of every origin, names, types, states and failures inside."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper
from openvino import opset13
from openvino.op.util import Variable, VariableInfo

import inferox
from inferox.backends.onnxruntime import OnnxRuntimeBackend
from inferox.backends.openvino import OpenVinoBackend
from inferox.core import (
    Artifact,
    Backend,
    DataType,
    ExecutionError,
    InferoxError,
    InputTooLongError,
    Layout,
    LoadError,
    LoadOptions,
    Model,
    Precision,
    Signature,
    TensorSpec,
)

RUNTIMES = [OnnxRuntimeBackend(), OpenVinoBackend()]

F32, I64 = DataType.F32, DataType.I64
_ONNX = {F32: TensorProto.FLOAT, I64: TensorProto.INT64, DataType.F64: TensorProto.DOUBLE}

SCALED = Signature(
    (TensorSpec("x", F32, ("batch", 3)), TensorSpec("scale", I64, ("batch", 1))),
    (TensorSpec("y", F32, ("batch", 3)),),
)
"""y = tanh(x) * scale."""

LOOKUP = Signature((TensorSpec("ids", I64, ("batch", "seq")),), (TensorSpec("y", F32, ("batch", "seq")),))
"""y = table[ids] + positions: fails inside the graph for more than 8 positions."""


def save_graph(path: Path, signature: Signature, nodes: Sequence[NodeProto], **weights: npt.NDArray[Any]) -> Artifact:
    def describe(spec: TensorSpec) -> Any:
        return helper.make_tensor_value_info(spec.name, _ONNX[spec.dtype], list(spec.dims))

    graph = helper.make_graph(
        nodes,
        "graph",
        [describe(spec) for spec in signature.inputs],
        [describe(spec) for spec in signature.outputs],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
    return make_artifact(path, signature)


def make_artifact(path: Path, signature: Signature, *, backend: str = "any", format_: str = "onnx") -> Artifact:
    return Artifact(backend, format_, Precision.FP32, Layout.PADDED, {"graph": path.name}, signature, path.parent)


def load(backend: Backend, artifact: Artifact) -> Model:
    named = make_artifact(artifact.path("graph"), artifact.signature, backend=backend.name, format_=artifact.format)
    return backend.load(named, None, LoadOptions("graph", threads=1))


@pytest.fixture
def scaled(tmp_path: Path) -> Artifact:
    nodes = [
        helper.make_node("Cast", ["scale"], ["factor"], to=TensorProto.FLOAT),
        helper.make_node("Tanh", ["x"], ["t"]),
        helper.make_node("Mul", ["t", "factor"], ["y"]),
    ]
    return save_graph(tmp_path / "scaled.onnx", SCALED, nodes)


@pytest.fixture
def lookup(tmp_path: Path) -> Artifact:
    """BERT's way of adding positions: a slice, as long as the tokens, of a table of 8."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["words"]),
        helper.make_node("Shape", ["ids"], ["length"], start=1, end=2),
        helper.make_node("Slice", ["positions", "zero", "length", "one"], ["cut"]),
        helper.make_node("Add", ["words", "cut"], ["y"]),
    ]
    numbers = np.random.default_rng(0)
    return save_graph(
        tmp_path / "lookup.onnx",
        LOOKUP,
        nodes,
        table=numbers.standard_normal(10).astype(np.float32),
        positions=numbers.standard_normal((1, 8)).astype(np.float32),
        zero=np.array([0]),
        one=np.array([1]),
    )


def make_call(rows: int, seed: int) -> dict[str, npt.NDArray[Any]]:
    numbers = np.random.default_rng(seed)
    return {
        "x": numbers.standard_normal((rows, 3)).astype(np.float32),
        "scale": numbers.integers(1, 100, (rows, 1)),
    }


def _freeze(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array.setflags(write=False)
    return array


@pytest.mark.parametrize("backend", RUNTIMES, ids=lambda backend: backend.name)
@pytest.mark.parametrize(
    "change",
    [lambda array: array, _freeze, np.asfortranarray, lambda array: np.repeat(array, 2, axis=0)[::2]],
    ids=["plain", "read-only", "column-major", "with gaps"],
)
def test_inputs_that_are_copied_live_as_long_as_the_call(
    scaled: Artifact, backend: Backend, change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
) -> None:
    calls = [make_call(rows, seed) for rows in (2, 1000, 100_000) for seed in range(4)]
    start = threading.Barrier(4)

    def compute(part: int) -> None:
        start.wait(timeout=60)
        for call in calls[part::4]:
            given = {name: change(array.copy()) for name, array in reversed(call.items())}
            found = model.forward(given)["y"].numpy()
            np.testing.assert_allclose(found, np.tanh(call["x"]) * call["scale"], rtol=1e-5, atol=1e-4)

    with load(backend, scaled) as model, ThreadPoolExecutor(4) as pool:
        list(pool.map(compute, range(4)))


@pytest.mark.parametrize("backend", RUNTIMES, ids=lambda backend: backend.name)
def test_a_call_that_fails_within_the_graph_changes_no_other(lookup: Artifact, backend: Backend) -> None:
    numbers = np.random.default_rng(1)
    first, second = (numbers.integers(0, 10, (2, 4)) for _ in range(2))
    with load(backend, lookup) as fresh:
        expected = [fresh.forward(ids)["y"].numpy() for ids in (first, second)]
    with load(backend, lookup) as model:
        model.forward(first)
        for length in (9, 20, 9):
            with pytest.raises(ExecutionError):
                model.forward(numbers.integers(0, 10, (2, length)))
            for ids, numbers_expected in zip((second, first), reversed(expected), strict=True):
                np.testing.assert_array_equal(model.forward(ids)["y"].numpy(), numbers_expected)


def test_an_encoder_that_failed_once_answers_each_call_for_itself(bert_package: Path) -> None:
    artifacts = inferox.open_package(bert_package).artifacts
    artifact = next(item for item in artifacts if item.backend == "openvino" and item.layout is Layout.PADDED)
    (limit,) = artifact.signature.limits.values()
    unlimited = replace(artifact, signature=replace(artifact.signature, limits={}))

    def make(length: int, seed: int) -> dict[str, npt.NDArray[Any]]:
        ids = np.random.default_rng(seed).integers(5, 50, (2, length))
        return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}

    def compute(model: Model, inputs: dict[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
        return np.array(model.forward(inputs)["last_hidden_state"].numpy())

    options = LoadOptions("encoder", threads=1)
    with OpenVinoBackend().load(artifact, None, options) as model:
        with pytest.raises(InputTooLongError, match=f"has {limit + 10} tokens, but the model takes {limit} at most"):
            compute(model, make(limit + 10, 0))
        expected = [compute(model, make(9, seed)) for seed in (1, 2, 3)]
    with OpenVinoBackend().load(unlimited, None, options) as model:
        compute(model, make(9, 1))
        with pytest.raises(ExecutionError):
            compute(model, make(limit + 10, 0))
        for seed in (2, 3, 1):
            np.testing.assert_allclose(compute(model, make(9, seed)), expected[seed - 1], atol=1e-5)


@pytest.mark.parametrize("backend", RUNTIMES, ids=lambda backend: backend.name)
def test_tensors_that_are_passed_on_under_another_name(tmp_path: Path, backend: Backend) -> None:
    signature = Signature((TensorSpec("x", F32, ("batch", 3)),), (TensorSpec("y", F32, ("batch", 3)),))
    nodes = [
        helper.make_node("Identity", ["x"], ["inner"]),
        helper.make_node("Neg", ["inner"], ["outer"]),
        helper.make_node("Identity", ["outer"], ["y"]),
    ]
    artifact = save_graph(tmp_path / "graph.onnx", signature, nodes)
    with load(backend, artifact) as model:
        np.testing.assert_array_equal(model.forward(np.ones((2, 3), np.float32))["y"].numpy(), -np.ones((2, 3)))


@pytest.mark.parametrize("backend", RUNTIMES, ids=lambda backend: backend.name)
@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ([TensorSpec("x", DataType.F64, ("batch", 3)), SCALED.inputs[1]], SCALED.outputs),
        ([TensorSpec("x", F32, ("batch", 3, 1)), SCALED.inputs[1]], SCALED.outputs),
        (SCALED.inputs[:1], SCALED.outputs),
        ([*SCALED.inputs, TensorSpec("more", F32, ())], SCALED.outputs),
        (SCALED.inputs, [TensorSpec("y", I64, ("batch", 3))]),
        (SCALED.inputs, [TensorSpec("y", F32, ("batch",))]),
        (SCALED.inputs, [TensorSpec("z", F32, ("batch", 3))]),
    ],
    ids=["input type", "input axes", "input missing", "input too many", "output type", "output axes", "output name"],
)
def test_a_graph_that_is_another_than_its_artifact_says(
    scaled: Artifact, backend: Backend, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> None:
    wrong = make_artifact(scaled.path("graph"), Signature(tuple(inputs), tuple(outputs)))
    with pytest.raises(LoadError, match="but the package says"):
        load(backend, wrong)


def test_a_model_that_keeps_a_state_is_refused(tmp_path: Path) -> None:
    value = opset13.parameter([-1, 2], np.float32, name="x")
    facts = VariableInfo()
    facts.data_shape, facts.data_type, facts.variable_id = openvino.PartialShape([-1, 2]), openvino.Type.f32, "sum"
    variable = Variable(facts)
    total = opset13.add(opset13.read_value(value, variable), value)
    total.output(0).tensor.names = {"y"}
    value.output(0).tensor.names = {"x"}
    model = openvino.Model([opset13.result(total)], [opset13.assign(total, variable)], [value])
    openvino.save_model(model, tmp_path / "state.xml")
    signature = Signature((TensorSpec("x", F32, ("batch", 2)),), (TensorSpec("y", F32, ("batch", 2)),))
    artifact = make_artifact(tmp_path / "state.xml", signature, format_="openvino-ir")
    with pytest.raises(LoadError, match="keeps a state"):
        load(OpenVinoBackend(), artifact)
    with pytest.raises(InferoxError, match="keeps a state"):
        inferox.pack(tmp_path / "state.xml", tmp_path / "package")


@pytest.mark.parametrize("backend", RUNTIMES, ids=lambda backend: backend.name)
def test_a_file_that_is_listed_and_missing(scaled: Artifact, backend: Backend) -> None:
    files = {"graph": "scaled.onnx", "weights": "none.bin"}
    artifact = Artifact(backend.name, "onnx", Precision.FP32, Layout.PADDED, files, SCALED, scaled.root)
    with pytest.raises(LoadError, match=r"none\.bin"):
        backend.load(artifact, None, LoadOptions("graph"))
