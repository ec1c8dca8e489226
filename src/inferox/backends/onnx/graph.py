"""ONNX graphs of a package, without weights: they refer to the package's own weights file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import ModelProto, TensorProto, numpy_helper

from inferox.backends.onnx.safetensors_layout import Place, read_places
from inferox.backends.onnx.shared_weights import share_weights
from inferox.core import WEIGHTS_FILE, ExportRequest, Layout, LoadError, Precision, Signature, SourceModel

GRAPH_FILES = {Layout.PADDED: "model.onnx", Layout.PACKED: "model.packed.onnx"}
"""The files of graphs. They are at the root, because ONNX Runtime and OpenVINO refuse weight paths with ``..``."""


@dataclass(frozen=True)
class Graph:
    """A graph in a package.

    Attributes:
        files: The graph and, if it refers to it, the weights file, by role.
        signature: The named tensors that it takes and returns.
    """

    files: dict[str, str]
    signature: Signature


def graph_precision(source: SourceModel, request: ExportRequest) -> Precision:
    """Returns the precision of the requested artifact: a graph that is quantised or in half precision stays so.

    Args:
        source: The model.
        request: The requested artifact.

    Raises:
        LoadError: If another precision is requested than such a graph has.
    """
    if source.precision is Precision.FP32 or request.precision is Precision.FP32:
        return source.precision if request.precision is Precision.FP32 else request.precision
    raise LoadError(
        f"{source.facts.name} is already a graph in {source.precision.value}, which is used as it is and not converted "
        f"to {request.precision.value}",
        hint="leave out the precision",
    )


def write_graph(source: SourceModel, root: Path, request: ExportRequest) -> Graph:
    """Writes the graph of a model in fp32; one that is already in the package is used unchanged.

    Args:
        source: The model.
        root: The folder of the package that is being made.
        request: The requested layout and signature.

    Raises:
        LoadError: If the source has no module, or if the module cannot be packed, or cannot be captured for every
            number of rows.
        Exception: Whatever the exporter raises, to be translated by the caller.
    """
    relative = GRAPH_FILES[request.layout]
    if (root / relative).is_file():
        graph = onnx.load(root / relative, load_external_data=False)
    else:
        places = read_places(root / WEIGHTS_FILE) if (root / WEIGHTS_FILE).is_file() else {}
        graph = _make_graph(source, request, places)
        share_weights(graph, places)
        _strip_metadata(graph)
        onnx.save(graph, root / relative)
    files = {"graph": relative}
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in graph.graph.initializer):
        files["weights"] = WEIGHTS_FILE
    return Graph(files, _honest_signature(request.signature, graph))


def _make_graph(source: SourceModel, request: ExportRequest, places: Mapping[str, Place]) -> ModelProto:
    kind = source.facts.kind
    if kind == "onnx" and source.facts.program is not None:
        graph = onnx.load(source.facts.program)
        for tensor in graph.graph.initializer:
            if not tensor.HasField("raw_data") and len(tensor.dims):
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
        _state_outputs(graph, request.signature)
        return graph
    if kind not in {"huggingface", "python"}:
        raise LoadError(f"a {kind} model cannot be captured as an ONNX graph")
    # Only a module needs PyTorch.
    from inferox.backends.onnx.capture import capture

    return capture(source, request, places)


def _state_outputs(graph: ModelProto, signature: Signature) -> None:
    """Declares the outputs correctly, as some exporters declare another number of axes, which runtimes then report."""
    specs = {spec.name: spec for spec in signature.outputs}
    for item in graph.graph.output:
        shape = item.type.tensor_type.shape
        del shape.dim[:]
        for dim in specs[item.name].dims:
            extent = shape.dim.add()
            if isinstance(dim, int):
                extent.dim_value = dim
            else:
                extent.dim_param = dim


def _strip_metadata(graph: ModelProto) -> None:
    """Removes the exporter's stack traces and names, which are larger than the graph."""
    del graph.metadata_props[:]
    del graph.graph.metadata_props[:]
    graph.graph.ClearField("doc_string")
    for item in (*graph.graph.node, *graph.graph.value_info, *graph.graph.input, *graph.graph.output):
        del item.metadata_props[:]
        item.ClearField("doc_string")
    for function in graph.functions:
        del function.metadata_props[:]
        for node in function.node:
            del node.metadata_props[:]
            node.ClearField("doc_string")
    del graph.graph.value_info[:]


def _honest_signature(signature: Signature, graph: ModelProto) -> Signature:
    """Returns the signature with a number wherever the graph takes only one extent."""
    shapes = {item.name: item.type.tensor_type.shape.dim for item in graph.graph.input}
    return signature.fixed(
        {
            dim: extent.dim_value
            for spec in signature.inputs
            for dim, extent in zip(spec.dims, shapes[spec.name], strict=True)
            if isinstance(dim, str) and extent.HasField("dim_value") and extent.dim_value >= 0
        }
    )
