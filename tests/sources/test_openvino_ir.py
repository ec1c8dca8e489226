"""OpenVINO's IR as a source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino
import pytest

import inferox
from inferox.core import PackageError
from inferox.parity import ParityClass
from tests.sources.graphs import BIAS, WEIGHT, save_affine


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    model = openvino.Core().read_model(save_affine(tmp_path / "affine.onnx"))
    openvino.save_model(model, tmp_path / "affine.xml", compress_to_fp16=False)
    return tmp_path / "affine.xml"


def test_openvino_alone_runs_it(tmp_path: Path, graph: Path) -> None:
    report = inferox.pack(graph, tmp_path / "package", precisions=("fp32",))
    assert [(item.artifact, item.parity_class) for item in report.evidence] == [
        ("openvino/openvino-ir/fp32/padded", ParityClass.EXACT)
    ]
    assert inferox.open_package(tmp_path / "package").info.num_parameters == 15
    x = np.ones((3, 4), np.float32)
    with inferox.load(tmp_path / "package") as model:
        np.testing.assert_allclose(model.forward(x)["y"].numpy(), x @ WEIGHT + BIAS, atol=1e-5)
    with pytest.raises(PackageError, match="openvino-ir"):
        inferox.pack(graph, tmp_path / "other", backends=("torch", "onnxruntime", "candle"))


def test_without_its_weights(tmp_path: Path, graph: Path) -> None:
    graph.with_suffix(".bin").unlink()
    with pytest.raises(PackageError, match=r"affine\.bin must lie beside it"):
        inferox.pack(graph, tmp_path / "package")
