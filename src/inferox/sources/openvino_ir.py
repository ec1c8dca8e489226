"""OpenVINO's IR as a source; OpenVINO then computes the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

import numpy as np
import openvino

from inferox.backends.openvino.errors import translated
from inferox.core import (
    DataType,
    Dim,
    LoadError,
    PackageError,
    Precision,
    SourceFacts,
    TensorSpec,
)
from inferox.sources.array_files import read_arrays
from inferox.sources.graph_dims import name_dims
from inferox.sources.graph_source import GraphSource, check_examples
from inferox.sources.model_directory import find_directory, read_config
from inferox.sources.openvino_indices import find_index_bounds
from inferox.sources.openvino_run import compile_file, run_compiled

_PRECISIONS = {
    "f64": Precision.FP32,
    "f32": Precision.FP32,
    "f16": Precision.FP16,
    "bf16": Precision.BF16,
    "i8": Precision.INT8,
    "u8": Precision.INT8,
    "i4": Precision.INT8,
    "u4": Precision.INT8,
}


def open_openvino_ir(path: Path, *, samples: Path | None, dims: Mapping[str, Sequence[Dim]] | None) -> GraphSource:
    """Opens an IR: an ``.xml`` file with its ``.bin`` beside it.

    Args:
        path: The ``.xml`` file.
        samples: Example inputs by name.
        dims: The dims of inputs by name, if the file's own do not fit.

    Raises:
        PackageError: If the weights are missing, or the model fails on its examples.
        LoadError: If OpenVINO refuses it.
        ConfigError: If dims do not fit.
    """
    if not path.with_suffix(".bin").is_file():
        raise PackageError(f"{path.name} has no weights: {path.stem}.bin must lie beside it")
    with translated(f"loading {path.name}", default=LoadError):
        compiled = compile_file(path)
        model = openvino.Core().read_model(path)
        inputs = _inputs(compiled, dims, find_index_bounds(model))
        outputs = [output.any_name for output in model.outputs]
        # Compiling folds and merges constants, so they are counted in the file.
        constants = [node for node in model.get_ops() if node.get_type_name() == "Constant"]

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
        run_compiled(compiled, path, inputs, outputs),
        inputs,
        backend="openvino",
        precision=_precision(constants),
        examples=examples,
        stated=frozenset(dim for each in (dims or {}).values() for dim in each if isinstance(dim, str)),
        weights={},
        num_parameters=sum(prod(node.get_output_shape(0)) for node in constants if _is_floating(node)),
    )


def _precision(constants: Sequence[openvino.Node]) -> Precision:
    """Returns the precision of most weights."""
    sizes: dict[str, int] = {}
    for node in constants:
        kind = node.get_output_element_type(0).get_type_name()
        sizes[kind] = sizes.get(kind, 0) + prod(node.get_output_shape(0))
    known = {kind: size for kind, size in sizes.items() if kind in _PRECISIONS}
    return _PRECISIONS[max(known, key=lambda kind: known[kind])] if known else Precision.FP32


def _is_floating(node: openvino.Node) -> bool:
    return bool(node.get_output_element_type(0).is_real())


def _inputs(
    compiled: openvino.CompiledModel, stated: Mapping[str, Sequence[Dim]] | None, bounds: Mapping[str, int]
) -> tuple[TensorSpec, ...]:
    shapes: dict[str, list[Dim | None]] = {
        port.any_name: [dim.get_length() if dim.is_static else None for dim in port.partial_shape]
        for port in compiled.inputs
    }
    named = name_dims(shapes, stated)
    specs = []
    for port in compiled.inputs:
        dtype = DataType.from_numpy(np.dtype(port.element_type.to_dtype()))
        upper_bound = None if dtype.is_floating or dtype is DataType.BOOL else bounds.get(port.any_name)
        specs.append(TensorSpec(port.any_name, dtype, named[port.any_name], upper_bound))
    return tuple(specs)
