"""Sessions of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnxruntime import GraphOptimizationLevel, InferenceSession, NodeArg, SessionOptions

from inferox.backends.onnx.content import check_onnx
from inferox.backends.onnx.wire_format import WireFormatError
from inferox.backends.onnxruntime.guards import find_harmful_optimizers, guard_divisions
from inferox.core import DataType, GraphPort, LoadError

_FATAL = 4
"""The severity of errors that end the process. All others are raised as well, so printing them adds nothing."""

_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"

_WRONG_FOR_INTEGERS = "DivMulFusion"
"""An optimisation that turns (1 / b) * a into a / b, which differs for integers, and bypasses the check of b."""

_STOP_SPINNING = "session.force_spinning_stop"
"""The setting with which threads stop spinning once a run is over. They would otherwise spin for about 50 ms each, on
cores that others need; within a run they still spin, so that a run takes no longer (both measured with 1.32)."""

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
    """Lists the inputs or outputs of a session.

    Args:
        items: Its inputs or outputs.
    """
    return [
        GraphPort(
            frozenset({item.name}),
            _DTYPES.get(item.type.removeprefix("tensor(").removesuffix(")")),
            # It reports the same for a scalar and for a tensor with unknown axes.
            len(item.shape) or None,
        )
        for item in items
    ]


def open_session(graph: Path | bytes, *, threads: int, libraries: Sequence[Path] = ()) -> InferenceSession:
    """Opens a graph on the CPU.

    Args:
        graph: An ONNX file, whose weights may lie in files below its folder, or the bytes of a graph with its weights.
        threads: The number of CPU threads that it may use.
        libraries: Operator libraries that it may call; they are code.

    Raises:
        LoadError: If the file is not an ONNX model, or takes weights from elsewhere than files in its folder.
        Exception: Whatever ONNX Runtime raises, to be translated by the caller.
    """
    options = SessionOptions()
    # By its name or first bytes, a file could be in ONNX Runtime's own format, which is not checked.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # It would keep a plan of its memory for many of the shapes that it meets, about 1.5 KB for each layer, and use
    # plans for shapes that they do not fit. They save no time (measured with 1.32).
    options.enable_mem_pattern = False
    options.add_session_config_entry(_STOP_SPINNING, "1")
    for library in libraries:
        options.register_custom_ops_library(str(library))
    guarded, harmful = _read_guarded(graph) if isinstance(graph, Path) else (None, [])
    if guarded is not None and isinstance(graph, Path):
        options.add_session_config_entry(_WEIGHTS_FOLDER, str(graph.parent))
    # Its fallback would try the same provider again, after printing to standard output.
    return InferenceSession(
        guarded or (graph if isinstance(graph, bytes) else str(graph)),
        options,
        providers=["CPUExecutionProvider"],
        enable_fallback=False,
        disabled_optimizers=harmful,
    )


def _read_guarded(path: Path) -> tuple[bytes | None, list[str]]:
    """Reads a graph with checks for operations that crash ONNX Runtime, and lists the optimisations that would do harm.

    Returns:
        The bytes of the graph, or ``None`` if it needs no checks; and the names of the optimisations.
    """
    if path.suffix != ".onnx":
        raise LoadError(f"{path.name} is not an .onnx file")
    content = check_onnx(path)
    try:
        guarded = guard_divisions(content, path.name)
        harmful = find_harmful_optimizers(content)
    except WireFormatError as error:
        raise LoadError(f"{path.name} is not an ONNX model, or a damaged one: {error}") from error
    return guarded, harmful if guarded is None else [*harmful, _WRONG_FOR_INTEGERS]
