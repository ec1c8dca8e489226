"""Sessions of ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions

_WARNINGS_AND_WORSE = 3


def open_session(graph: Path | bytes, *, threads: int) -> InferenceSession:
    """Opens a graph on the CPU.

    Args:
        graph: An ONNX file, whose weights may lie in files below its folder, or the bytes of a graph with its weights.
        threads: How many CPU threads it may use.

    Raises:
        Exception: Whatever ONNX Runtime raises, to be translated by the caller.
    """
    options = SessionOptions()
    options.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _WARNINGS_AND_WORSE
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Its fallback tries the same provider again, after printing to standard output.
    return InferenceSession(
        graph if isinstance(graph, bytes) else str(graph),
        options,
        providers=["CPUExecutionProvider"],
        enable_fallback=False,
    )
