"""OpenVINO's IR as a source; OpenVINO is then the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from inferox.backends.openvino.compilation import compile_model
from inferox.backends.openvino.errors import translated
from inferox.core import (
    DataType,
    Dim,
    ExecutionError,
    LoadError,
    PackageError,
    Precision,
    SourceFacts,
    TensorSpec,
    resolve_threads,
)
from inferox.sources.array_files import read_arrays
from inferox.sources.graph_source import GraphSource, check_examples, name_dims
from inferox.sources.model_directory import find_directory, read_config


def open_openvino_ir(path: Path, *, samples: Path | None, dims: Mapping[str, Sequence[Dim]] | None) -> GraphSource:
    """Opens an IR: an ``.xml`` file with its ``.bin`` beside it.

    Args:
        path: The ``.xml`` file.
        samples: Example inputs by name.
        dims: The dims of inputs by name, where the file's own do not fit.

    Raises:
        PackageError: If the weights are missing, or the model fails on its examples.
        LoadError: If OpenVINO refuses it.
        ConfigError: If dims do not fit.
    """
    if not path.with_suffix(".bin").is_file():
        raise PackageError(f"{path.name} has no weights: {path.stem}.bin must lie beside it")
    with translated(f"loading {path.name}", default=LoadError):
        compiled = compile_model(path, "CPU", Precision.FP32, threads=resolve_threads(None))
        inputs = _inputs(compiled, dims)
        outputs = [output.any_name for output in compiled.outputs]
        # Compiling folds and merges constants, so that they are counted in the file.
        constants = [node for node in openvino.Core().read_model(path).get_ops() if node.get_type_name() == "Constant"]

    def run(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        with translated(f"computing {path.stem}", default=ExecutionError):
            request = compiled.create_infer_request()
            request.infer({spec.name: np.asarray(arrays[spec.name], order="C") for spec in inputs})
            return {name: np.array(request.get_tensor(name).data) for name in outputs}

    examples = None if samples is None else read_arrays(samples)
    if examples is not None:
        check_examples(examples, inputs)
    directory = find_directory(path)
    config = read_config(directory)
    return GraphSource(
        SourceFacts(
            kind="openvino-ir",
            name=directory.name if directory else path.stem,
            model_type=config.get("model_type", "openvino-ir"),
            config=config,
            directory=directory,
            program=path,
        ),
        run,
        inputs,
        examples=examples,
        weights={},
        num_parameters=sum(prod(node.get_output_shape(0)) for node in constants if _is_floating(node)),
    )


def _is_floating(node: openvino.Node) -> bool:
    return bool(node.get_output_element_type(0).is_real())


def _inputs(compiled: openvino.CompiledModel, stated: Mapping[str, Sequence[Dim]] | None) -> tuple[TensorSpec, ...]:
    shapes: dict[str, list[Dim | None]] = {
        port.any_name: [dim.get_length() if dim.is_static else None for dim in port.partial_shape]
        for port in compiled.inputs
    }
    named = name_dims(shapes, stated)
    return tuple(
        TensorSpec(port.any_name, DataType.from_numpy(np.dtype(port.element_type.to_dtype())), named[port.any_name])
        for port in compiled.inputs
    )
