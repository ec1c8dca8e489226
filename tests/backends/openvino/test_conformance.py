"""OpenVINO meets the contract."""

from __future__ import annotations

from pathlib import Path

import onnx
import openvino

from inferox.backends.openvino import OpenVinoBackend
from inferox.core import Artifact, Backend, DataType, Layout, Precision
from inferox.testing.conformance import ArtifactConformance, BackendConformance, Subject
from inferox.testing.mlp import SIGNATURE
from tests.backends.onnxruntime.test_conformance import make_graph


class OfOpenVino(Subject):
    dtypes = frozenset(DataType) - {DataType.BF16}
    runtime = "openvino"

    @classmethod
    def make_backend(cls) -> Backend:
        return OpenVinoBackend()


class TestOnnx(OfOpenVino, BackendConformance):
    @classmethod
    def make_artifact(cls, root: Path) -> Artifact:
        onnx.save(make_graph(), root / "model.onnx", save_as_external_data=True, location="weights.bin")
        files = {"graph": "model.onnx", "weights": "weights.bin"}
        return Artifact("openvino", "onnx", Precision.FP32, Layout.PADDED, files, SIGNATURE, root)


class TestIr(OfOpenVino, ArtifactConformance):
    @classmethod
    def make_artifact(cls, root: Path) -> Artifact:
        graph = root / "graph.onnx"
        onnx.save(make_graph(), graph)
        openvino.save_model(openvino.Core().read_model(graph), root / "model.xml", compress_to_fp16=False)
        graph.unlink()
        files = {"graph": "model.xml", "weights": "model.bin"}
        return Artifact("openvino", "openvino-ir", Precision.FP32, Layout.PADDED, files, SIGNATURE, root)
