"""From a graph in single precision to one whose matrix products are in eight bits, with ONNX Runtime's own tools."""

from __future__ import annotations

import logging
from pathlib import Path
from tempfile import NamedTemporaryFile

from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions
from onnxruntime.quantization import QuantType, quantize_dynamic


def quantize(graph: Path, target: Path) -> None:
    """Quantises weights by channel, and activations when they are computed (dynamic quantisation).

    Args:
        graph: An ONNX file.
        target: The ONNX file to write, weights included. Its folder exists.

    Raises:
        Exception: Whatever ONNX Runtime raises, to be translated by the caller.
    """
    options = SessionOptions()
    # Folds what depends on weights alone: a weight that is transposed in the graph would not be quantised.
    options.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_BASIC
    # Beside the graph, as what is folded points to the same weights.
    with NamedTemporaryFile(dir=graph.parent, suffix=".onnx") as file:
        folded = Path(file.name)
        options.optimized_model_filepath = str(folded)
        InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.ERROR)  # the quantiser advises on the root logger
        try:
            quantize_dynamic(folded, target, per_channel=True, weight_type=QuantType.QInt8)
        finally:
            root.setLevel(level)
