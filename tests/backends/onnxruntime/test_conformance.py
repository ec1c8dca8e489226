"""ONNX Runtime meets the contract."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from inferox.backends.onnxruntime import OnnxRuntimeBackend
from inferox.core import Artifact, Backend, DataType, Layout, Precision
from inferox.testing.conformance import ArtifactConformance, BackendConformance, Subject
from inferox.testing.mlp import LAYERS, SIGNATURE, mlp_weights


def make_graph() -> onnx.ModelProto:
    """The suite's perceptron, with its weights inside."""
    nodes, last = [], "x"
    for layer in LAYERS:
        out = "y" if layer == LAYERS[-1] else f"{layer}.sum"
        nodes.append(helper.make_node("Gemm", [last, f"{layer}.weight", f"{layer}.bias"], [out], transB=1))
        if out != "y":
            nodes.append(helper.make_node("Relu", [out], [f"{layer}.out"]))
        last = f"{layer}.out"
    (x,), (y,) = SIGNATURE.inputs, SIGNATURE.outputs
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(x.dims))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(y.dims))],
        [onnx.numpy_helper.from_array(array, name) for name, array in mlp_weights().items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class OfOnnxRuntime(Subject):
    dtypes = frozenset(DataType) - {DataType.BF16}
    runtime = "onnxruntime"

    @classmethod
    def make_backend(cls) -> Backend:
        return OnnxRuntimeBackend()


class TestWeightsInTheGraph(OfOnnxRuntime, BackendConformance):
    @classmethod
    def make_artifact(cls, root: Path) -> Artifact:
        onnx.save(make_graph(), root / "model.onnx")
        files = {"graph": "model.onnx"}
        return Artifact("onnxruntime", "onnx", Precision.FP32, Layout.PADDED, files, SIGNATURE, root)


class TestWeightsBesideTheGraph(OfOnnxRuntime, ArtifactConformance):
    @classmethod
    def make_artifact(cls, root: Path) -> Artifact:
        onnx.save(make_graph(), root / "model.onnx", save_as_external_data=True, location="weights.bin")
        files = {"graph": "model.onnx", "weights": "weights.bin"}
        return Artifact("onnxruntime", "onnx", Precision.FP32, Layout.PADDED, files, SIGNATURE, root)
