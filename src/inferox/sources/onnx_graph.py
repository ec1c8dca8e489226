"""An ONNX file as a source; ONNX Runtime is then the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, helper, numpy_helper

from inferox.backends.onnx.external_data import check_external_data
from inferox.backends.onnx.graph import INLINE_BYTES
from inferox.backends.onnxruntime.errors import translated
from inferox.backends.onnxruntime.session import open_session
from inferox.core import (
    DataType,
    Dim,
    ExecutionError,
    LoadError,
    PackageError,
    SourceFacts,
    TensorSpec,
    UnsupportedDTypeError,
    resolve_threads,
)
from inferox.sources.array_files import read_arrays
from inferox.sources.graph_source import GraphSource, check_examples, name_dims
from inferox.sources.model_directory import find_directory, read_config

_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""The operators that ONNX Runtime itself brings."""

_NUMBERS = "biuf"
"""NumPy's kinds of data types that a safetensors file has too: neither texts nor complex numbers."""


def open_onnx(path: Path, *, samples: Path | None, dims: Mapping[str, Sequence[Dim]] | None) -> GraphSource:
    """Opens an ONNX file.

    Args:
        path: The file. Weights may lie beside it, as external data.
        samples: Example inputs by name.
        dims: The dims of inputs by name, where the file's own do not fit.

    Raises:
        PackageError: If it is no valid graph, has custom operators, or fails on its examples. Its subclass
            ``UnsafePathError``, if it names weights outside its folder.
        LoadError: If ONNX Runtime refuses it.
        ConfigError: If dims do not fit.
    """
    graph = _read(path)
    with translated(f"loading {path.name}", default=LoadError):
        session = open_session(path, threads=resolve_threads(None))
    weights = {item.name: item for item in graph.graph.initializer}
    inputs = _inputs(graph, set(weights), dims)
    names = [item.name for item in graph.graph.output]

    def run(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        with translated(f"computing {path.stem}", default=ExecutionError):
            feeds = {spec.name: arrays[spec.name] for spec in inputs}
            return dict(zip(names, session.run(names, feeds), strict=True))

    examples = None if samples is None else read_arrays(samples)
    if examples is not None:
        check_examples(examples, inputs)
    directory = find_directory(path)
    config = read_config(directory)
    return GraphSource(
        SourceFacts(
            kind="onnx",
            name=directory.name if directory else path.stem,
            model_type=config.get("model_type", "onnx"),
            config=config,
            directory=directory,
            program=path,
        ),
        run,
        inputs,
        examples=examples,
        weights=_to_arrays(weights, path.parent),
        num_parameters=sum(int(np.prod(item.dims)) for item in weights.values() if _is_floating(item)),
    )


def _read(path: Path) -> ModelProto:
    try:
        graph = onnx.load(path, load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        raise PackageError(f"{path.name} is no ONNX file, or a damaged one: {error}") from error
    custom = sorted(
        {
            f"{node.domain}.{node.op_type}"
            for node in graph.graph.node
            if node.domain not in _DOMAINS | {function.domain for function in graph.functions}
        }
    )
    if custom:
        raise PackageError(
            f"{path.name} has custom operators, which are code that no runtime brings: {', '.join(custom)}",
            hint="export the model without them",
        )
    for item in (*graph.graph.input, *graph.graph.output):
        kind = item.type.WhichOneof("value")
        if kind not in {"tensor_type", None}:
            raise PackageError(f"{path.name} has {item.name!r}, a {kind.removesuffix('_type')} and no tensor")
    check_external_data(graph, path.parent)
    try:
        onnx.checker.check_model(path)
    # Names that are no UTF-8 end up in a message that then cannot be read.
    except (onnx.checker.ValidationError, UnicodeDecodeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise PackageError(f"{path.name} is no valid ONNX graph: {reason}") from error
    return graph


def _inputs(graph: ModelProto, weights: set[str], stated: Mapping[str, Sequence[Dim]] | None) -> tuple[TensorSpec, ...]:
    # Before version 4, graphs list their weights as inputs too.
    items = [item for item in graph.graph.input if item.name not in weights]
    shapes: dict[str, list[Dim | None]] = {
        item.name: [
            # A negative number is how some exporters write a free dim.
            dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else dim.dim_param or None
            for dim in item.type.tensor_type.shape.dim
        ]
        for item in items
    }
    named = name_dims(shapes, stated)
    return tuple(TensorSpec(item.name, _data_type(item.type.tensor_type.elem_type), named[item.name]) for item in items)


def _data_type(kind: int) -> DataType:
    try:
        return DataType.from_numpy(np.dtype(helper.tensor_dtype_to_np_dtype(kind)))
    except (KeyError, TypeError) as error:
        raise UnsupportedDTypeError(TensorProto.DataType.Name(kind).lower(), "inferox", list(DataType)) from error


def _to_arrays(weights: Mapping[str, TensorProto], folder: Path) -> dict[str, npt.NDArray[Any]]:
    """The large weights that NumPy and safetensors have a type for; the others stay in the graph."""
    arrays = {}
    for name, item in weights.items():
        array = numpy_helper.to_array(item, str(folder))
        if array.dtype.isbuiltin == 1 and array.dtype.kind in _NUMBERS and array.nbytes > INLINE_BYTES:
            arrays[name] = array
    return arrays


def _is_floating(item: TensorProto) -> bool:
    return item.data_type in {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
