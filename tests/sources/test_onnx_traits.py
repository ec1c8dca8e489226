"""ONNX files with the traits of real ones: each becomes a package that equals plain ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

import inferox
from inferox.measuring.tuning_shapes import make_batch
from inferox.parity import ParityClass
from tests.sources.graphs import WIDE_WEIGHT

Arrays = Mapping[str, Any]

RUNTIMES = ("onnxruntime", "openvino")
RANDOM = np.random.default_rng(7)


def floats(*shape: int) -> npt.NDArray[Any]:
    return RANDOM.standard_normal(shape).astype(np.float32)


def make(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, tuple[int, Sequence[int | str | None]]],
    outputs: Mapping[str, tuple[int, Sequence[int | str | None]]],
    constants: Mapping[str, npt.NDArray[Any]] | None = None,
) -> ModelProto:
    """Makes a graph; inputs and outputs are given as their data type and dims, by name."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, kind, dims) for name, (kind, dims) in inputs.items()],
        [helper.make_tensor_value_info(name, kind, dims) for name, (kind, dims) in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def check_pack(model: ModelProto, folder: Path, example: Arrays | None, *others: Arrays) -> Path:
    """Packs a graph for both runtimes, and compares each with plain ONNX Runtime on the example and other calls."""
    path, package, samples = folder / "graph.onnx", folder / "package", None
    onnx.save(model, path)
    if example is not None:
        samples = folder / "samples.npz"
        np.savez(samples, **example)
    report = inferox.pack(path, package, backends=RUNTIMES, precisions=("fp32",), samples=samples)
    assert report.refused == {}
    assert {item.parity_class for item in report.evidence} <= {ParityClass.EXACT, ParityClass.CLOSE}
    session = onnxruntime.InferenceSession(path)
    names = [item.name for item in session.get_outputs()]
    for backend in RUNTIMES:
        with inferox.load(package, backend=backend) as loaded:
            for call in [*([] if example is None else [example]), *others]:
                found = loaded.forward(call)
                for name, expected in zip(names, session.run(names, dict(call)), strict=True):
                    np.testing.assert_allclose(found[name].numpy(), expected, rtol=1e-4, atol=1e-5)
    return package


def external_weights(package: Path) -> set[str]:
    graph = onnx.load(package / "model.onnx", load_external_data=False).graph
    return {item.name for item in graph.initializer if item.data_location == TensorProto.EXTERNAL}


def test_shapes_axes_and_scales_stay_in_the_graph(tmp_path: Path) -> None:
    model = make(
        [
            helper.make_node("MatMul", ["x", "weight"], ["product"]),
            helper.make_node("Unsqueeze", ["product", "axes"], ["image"]),
            helper.make_node("Reshape", ["image", "shape"], ["square"]),
            helper.make_node("Resize", ["square", "roi", "scales"], ["large"], mode="nearest"),
            helper.make_node("Slice", ["large", "starts", "ends", "slice_axes"], ["cut"]),
            helper.make_node("Mul", ["cut", "factor"], ["y"]),
        ],
        {"x": (TensorProto.FLOAT, ["batch", 4])},
        {"y": (TensorProto.FLOAT, ["batch", 3, 7, 20])},
        {
            "weight": WIDE_WEIGHT,
            "axes": np.array([1]),
            "shape": np.array([0, 3, 10, 10]),
            "roi": np.zeros(0, np.float32),
            "scales": np.array([1, 1, 1, 2], np.float32),
            "starts": np.array([0]),
            "ends": np.array([7]),
            "slice_axes": np.array([2]),
            "factor": np.array(0.5, np.float32),
        },
    )
    package = check_pack(model, tmp_path, {"x": floats(2, 4)}, {"x": floats(5, 4)})
    assert external_weights(package) == {"weight"}


@pytest.mark.parametrize("scalars", [1, 2])
def test_a_scalar_input_stays_a_scalar(tmp_path: Path, scalars: int) -> None:
    names = ["low", "high"][:scalars]
    model = make(
        [helper.make_node("Clip", ["x", *names], ["y"])],
        {"x": (TensorProto.FLOAT, ["rows", "width"]), **{name: (TensorProto.FLOAT, []) for name in names}},
        {"y": (TensorProto.FLOAT, ["rows", "width"])},
    )
    numbers = {name: np.array(number, np.float32) for name, number in zip(names, (-0.5, 0.25), strict=False)}
    example = {"x": floats(2, 3), **numbers}
    halved = {name: np.asarray(number / 2) for name, number in numbers.items()}
    package = check_pack(model, tmp_path, example, {"x": floats(4, 6), **halved})
    assert [spec.dims for spec in inferox.open_package(package).info.signature.inputs[1:]] == [()] * scalars


@pytest.mark.parametrize(
    ("kind", "dtype"), [(TensorProto.UINT16, "u16"), (TensorProto.UINT32, "u32"), (TensorProto.UINT64, "u64")]
)
def test_unsigned_numbers_are_taken_and_given(tmp_path: Path, kind: int, dtype: str) -> None:
    model = make(
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT), helper.make_node("Identity", ["x"], ["z"])],
        {"x": (kind, ["batch", 4])},
        {"y": (TensorProto.FLOAT, ["batch", 4]), "z": (kind, ["batch", 4])},
    )
    numpy_dtype = helper.tensor_dtype_to_np_dtype(kind)
    calls = [{"x": np.array([[0, 1, 300, 65535]] * rows, numpy_dtype)} for rows in (2, 3)]
    package = check_pack(model, tmp_path, *calls)
    signature = inferox.open_package(package).info.signature
    assert [spec.dtype.value for spec in (*signature.inputs, *signature.outputs)] == [dtype, "f32", dtype]


def test_masked_logits_are_minus_infinity(tmp_path: Path) -> None:
    model = make(
        [
            helper.make_node("Less", ["x", "zero"], ["hidden"]),
            helper.make_node("Where", ["hidden", "least", "x"], ["y"]),
        ],
        {"x": (TensorProto.FLOAT, ["batch", 6])},
        {"y": (TensorProto.FLOAT, ["batch", 6])},
        {"zero": np.zeros(1, np.float32), "least": np.array([-np.inf], np.float32)},
    )
    check_pack(model, tmp_path, {"x": floats(3, 6)}, {"x": floats(7, 6)})


def test_an_output_without_elements_is_compared_by_its_shape(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Greater", ["x", "high"], ["above"]),
        helper.make_node("NonZero", ["above"], ["found"]),
        helper.make_node("Transpose", ["found"], ["y"]),
    ]
    model = make(
        nodes,
        {"x": (TensorProto.FLOAT, [1, 40])},
        {"y": (TensorProto.INT64, ["found", 2])},
        {"high": np.array([1000], np.float32)},
    )
    package = check_pack(model, tmp_path, {"x": floats(1, 40)}, {"x": 2000 * floats(1, 40)})
    parity = inferox.open_package(package).parity
    assert parity is not None
    assert [item.weak for item in parity.artifacts] == ["the output 'y' has no elements in the samples"] * 2


@pytest.mark.parametrize("extent", [0, 2])
def test_a_past_of_no_tokens_is_taken(tmp_path: Path, extent: int) -> None:
    model = make(
        [helper.make_node("Concat", ["past", "x"], ["present"], axis=1)],
        {"x": (TensorProto.FLOAT, ["batch", "time", 4]), "past": (TensorProto.FLOAT, ["batch", "before", 4])},
        {"present": (TensorProto.FLOAT, ["batch", "all", 4])},
    )
    example = {"x": floats(2, 3, 4), "past": floats(2, extent, 4)}
    others = [{"x": floats(1, 5, 4), "past": floats(1, before, 4)} for before in (0, 1, 6)]
    package = check_pack(model, tmp_path, example, *others)
    signature = inferox.open_package(package).info.signature
    assert [spec.dims for spec in signature.inputs] == [("batch", "time", 4), ("batch", "before", 4)]


def test_a_scalar_beside_rows_can_be_tuned(tmp_path: Path) -> None:
    model = make(
        [helper.make_node("Mul", ["x", "rate"], ["y"])],
        {"x": (TensorProto.FLOAT, ["batch", 4]), "rate": (TensorProto.FLOAT, [])},
        {"y": (TensorProto.FLOAT, ["batch", 4])},
    )
    package = check_pack(model, tmp_path, {"x": floats(2, 4), "rate": np.array(0.5, np.float32)})
    samples = inferox.open_package(package).samples()
    assert samples is not None
    batch = make_batch(inferox.open_package(package).info.signature, samples, (3, 1))
    assert {name: array.shape for name, array in batch.items()} == {"x": (3, 4), "rate": ()}
