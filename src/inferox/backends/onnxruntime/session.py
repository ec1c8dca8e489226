"""Sessions of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnxruntime import GraphOptimizationLevel, InferenceSession, NodeArg, SessionOptions

from inferox.backends.onnx.content import check_onnx
from inferox.backends.onnx.wire_format import WireFormatError
from inferox.backends.onnxruntime.guards import guard_divisions
from inferox.core import DataType, GraphPort, LoadError

_FATAL = 4
"""The severity of what ends the process. Every other error is raised too: what ONNX Runtime prints adds nothing."""

_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"

_WRONG_FOR_INTEGERS = "DivMulFusion"
"""Makes a / b of (1 / b) * a, which is another number for integers, and goes past the check of b."""

_STOP_SPINNING = "session.force_spinning_stop"
"""Threads wait without using their cores once a run is over. They would go on for some 50 ms each, on cores that others
need; one that waits within a run still spins, so that a run takes no longer (both measured with 1.32)."""

_DTYPES = {
    "double": DataType.F64,
    "float": DataType.F32,
    "float16": DataType.F16,
    "bfloat16": DataType.BF16,
    "int64": DataType.I64,
    "int32": DataType.I32,
    "int16": DataType.I16,
    "int8": DataType.I8,
    "uint64": DataType.U64,
    "uint32": DataType.U32,
    "uint16": DataType.U16,
    "uint8": DataType.U8,
    "bool": DataType.BOOL,
}
"""Inferox's data types by ONNX Runtime's names for them within ``tensor(…)``."""


def list_ports(items: Sequence[NodeArg]) -> list[GraphPort]:
    """The inputs or outputs of a session.

    Args:
        items: Its inputs or outputs.
    """
    return [
        GraphPort(
            frozenset({item.name}),
            _DTYPES.get(item.type.removeprefix("tensor(").removesuffix(")")),
            # It says the same of a scalar and of a tensor whose axes are unknown.
            len(item.shape) or None,
        )
        for item in items
    ]


def open_session(graph: Path | bytes, *, threads: int, libraries: Sequence[Path] = ()) -> InferenceSession:
    """Opens a graph on the CPU.

    Args:
        graph: An ONNX file, whose weights may lie in files below its folder, or the bytes of a graph with its weights.
        threads: How many CPU threads it may use.
        libraries: Libraries of operators that it may call; they are code.

    Raises:
        LoadError: If the file is not an ONNX model, or takes weights from elsewhere than files in its folder.
        Exception: Whatever ONNX Runtime raises, to be translated by the caller.
    """
    options = SessionOptions()
    # By its name or its first bytes, a file could be in ONNX Runtime's own format, which is not checked.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry(_STOP_SPINNING, "1")
    for library in libraries:
        options.register_custom_ops_library(str(library))
    guarded = _read_guarded(graph) if isinstance(graph, Path) else None
    if guarded is not None and isinstance(graph, Path):
        options.add_session_config_entry(_WEIGHTS_FOLDER, str(graph.parent))
    # Its fallback tries the same provider again, after printing to standard output.
    return InferenceSession(
        guarded or (graph if isinstance(graph, bytes) else str(graph)),
        options,
        providers=["CPUExecutionProvider"],
        enable_fallback=False,
        disabled_optimizers=[] if guarded is None else [_WRONG_FOR_INTEGERS],
    )


def _read_guarded(path: Path) -> bytes | None:
    """The bytes of a graph with checks for what ONNX Runtime does not survive; ``None`` if it needs none."""
    if path.suffix != ".onnx":
        raise LoadError(f"{path.name} is not an .onnx file")
    content = check_onnx(path)
    try:
        return guard_divisions(content, path.name)
    except WireFormatError as error:
        raise LoadError(f"{path.name} is not an ONNX model, or a damaged one: {error}") from error
