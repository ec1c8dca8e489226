"""Running a file with OpenVINO as the reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from inferox.backends.openvino.compilation import compile_model
from inferox.backends.openvino.errors import translated
from inferox.core import ExecutionError, LoadError, Precision, TensorSpec, resolve_threads
from inferox.sources.measure import Arrays, Run


def open_openvino(path: Path, inputs: Sequence[TensorSpec], outputs: Sequence[str]) -> Run:
    """Compiles a graph for the CPU, in single precision.

    Args:
        path: An ONNX file, or the ``.xml`` file of an IR.
        inputs: What it takes.
        outputs: The names of what it gives.

    Raises:
        LoadError: If OpenVINO refuses it.
    """
    with translated(f"loading {path.name}", default=LoadError):
        compiled = compile_model(path, "CPU", Precision.FP32, threads=resolve_threads(None))
    return run_compiled(compiled, path.stem, inputs, outputs)


def run_compiled(
    compiled: openvino.CompiledModel, name: str, inputs: Sequence[TensorSpec], outputs: Sequence[str]
) -> Run:
    """What computes a compiled model.

    Args:
        compiled: The model.
        name: What messages call it.
        inputs: What it takes.
        outputs: The names of what it gives.
    """

    def run(arrays: Arrays) -> dict[str, npt.NDArray[Any]]:
        with translated(f"computing {name}", default=ExecutionError):
            request = compiled.create_infer_request()
            request.infer({spec.name: np.asarray(arrays[spec.name], order="C") for spec in inputs})
            return {output: np.array(request.get_tensor(output).data) for output in outputs}

    return run
