"""The computation of the reference by OpenVINO."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from inferox.backends.openvino.compilation import compile_model
from inferox.backends.openvino.errors import translated
from inferox.backends.openvino.integers import check_integers
from inferox.backends.openvino.request import compute
from inferox.core import ExecutionError, LoadError, Precision, TensorSpec
from inferox.machine import resolve_threads
from inferox.sources.measure import Arrays, Run


def open_openvino(path: Path, inputs: Sequence[TensorSpec], outputs: Sequence[str]) -> Run:
    """Compiles a graph for the CPU, in fp32.

    Args:
        path: An ONNX file, or the ``.xml`` file of an IR.
        inputs: Its inputs.
        outputs: The names of its outputs.

    Raises:
        LoadError: If OpenVINO refuses it.
    """
    return run_compiled(compile_file(path), path, inputs, outputs)


def compile_file(path: Path) -> openvino.CompiledModel:
    """Compiles a file for the CPU, in fp32.

    Args:
        path: An ONNX file, or the ``.xml`` file of an IR.

    Raises:
        LoadError: If OpenVINO refuses it.
    """
    with translated(f"loading {path.name}", default=LoadError):
        return compile_model(path, "CPU", Precision.FP32, threads=resolve_threads(None))


def run_compiled(
    compiled: openvino.CompiledModel, path: Path, inputs: Sequence[TensorSpec], outputs: Sequence[str]
) -> Run:
    """Makes a function that computes a compiled model.

    Args:
        compiled: The model.
        path: The file from which it was compiled, and is compiled again after a failure.
        inputs: Its inputs.
        outputs: The names of its outputs.
    """

    def run(arrays: Arrays) -> dict[str, npt.NDArray[Any]]:
        nonlocal compiled
        with translated(f"computing {path.stem}", default=ExecutionError):
            request = compiled.create_infer_request()
            check_integers(inputs, arrays)
            for spec in inputs:
                request.set_tensor(spec.name, openvino.Tensor(np.require(arrays[spec.name], requirements="C")))
            try:
                compute(request)
            except BaseException:
                compiled = compile_file(path)
                raise
            return {output: np.array(request.get_tensor(output).data) for output in outputs}

    return run
