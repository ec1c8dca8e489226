"""Small ONNX graphs, made by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

WEIGHT = np.arange(12, dtype=np.float32).reshape(4, 3) / 7
BIAS = np.array([1, -2, 3], dtype=np.float32)

WIDE_WEIGHT = np.sin(np.arange(1200, dtype=np.float32)).reshape(4, 300)
WIDE_BIAS = np.tile(BIAS, 100)
"""Large enough to be stored outside the graph."""


def make_affine(*nodes: NodeProto, rows: int | str = "N", weight: np.ndarray = WEIGHT) -> ModelProto:
    """y = x @ weight + bias, with further nodes after it."""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "weight"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["sum" if nodes else "y"]),
            *nodes,
        ],
        "affine",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, weight.shape[1]])],
        [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(np.tile(BIAS, weight.shape[1] // 3), "bias"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def save_affine(path: Path, *, beside: str | None = None, weight: np.ndarray = WEIGHT) -> Path:
    """Writes the graph; with a name, its weights are stored beside it."""
    if beside is None:
        onnx.save(make_affine(weight=weight), path)
    else:
        onnx.save(make_affine(weight=weight), path, save_as_external_data=True, location=beside, size_threshold=0)
    return path
