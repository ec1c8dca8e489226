"""Writing ONNX graphs into a package, without weights: they point into the package's own weights file."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import ModelProto, TensorProto
from torch.export import Dim

from inferox.backends.onnxruntime.errors import translated
from inferox.backends.onnxruntime.safetensors_layout import Place, read_places
from inferox.core import (
    BATCH,
    SEQUENCE,
    WEIGHTS_FILE,
    Artifact,
    Exporter,
    Layout,
    LoadError,
    Precision,
    Signature,
    SourceModel,
    TensorSpec,
)

GRAPH_FILE = "model.onnx"
"""Where the graph lies: at the root, because both ONNX Runtime and OpenVINO refuse paths to weights that climb."""

_EXAMPLE_EXTENTS = {BATCH: 2, SEQUENCE: 6}
_MODULE = "module."


class OnnxExporter(Exporter):
    """Captures a module with ``torch.export`` and writes it as an ONNX graph."""

    def export(self, source: SourceModel, root: Path, precision: Precision) -> Sequence[Artifact]:
        """Writes the graph in single precision; see ``Exporter``.

        Raises:
            LoadError: If the module cannot be captured or has an operator that ONNX lacks.
        """
        if precision is not Precision.FP32 or source.facts.kind not in {"huggingface", "python"}:
            return []
        with translated(f"exporting {source.facts.name}", default=LoadError):
            graph = _capture(source)
            files = {"graph": GRAPH_FILE}
            if (root / WEIGHTS_FILE).is_file() and _share_weights(graph, root / WEIGHTS_FILE):
                files["weights"] = WEIGHTS_FILE
            _strip_metadata(graph)
            onnx.save(graph, root / GRAPH_FILE)
        signature = _honest_signature(source.signature, graph)
        return [Artifact("onnxruntime", "onnx", precision, Layout.PADDED, files, signature, root)]


class _Graph(torch.nn.Module):
    """A module with tensors in and tensors out, by position, as a graph has them."""

    def __init__(self, module: torch.nn.Module, signature: Signature) -> None:
        super().__init__()
        self.module = module
        self._inputs, self._outputs = signature.input_names, signature.output_names

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Calls the module by name and gives the outputs of the signature in its order."""
        returned = self.module(**dict(zip(self._inputs, tensors, strict=True)))
        if isinstance(returned, Mapping):
            return tuple(returned[name] for name in self._outputs)
        return (returned,) if isinstance(returned, torch.Tensor) else tuple(returned)


def _capture(source: SourceModel) -> ModelProto:
    signature = source.signature
    graph = _Graph(source.module, signature).eval()
    examples = tuple(_example(spec, source.example_inputs) for spec in signature.inputs)
    dynamic = tuple(
        {axis: Dim.AUTO for axis, dim in enumerate(spec.dims) if isinstance(dim, str)} for spec in signature.inputs
    )
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            graph,
            examples,
            dynamo=True,
            # Optimising here folds transposed copies of the weights into new constants, which no file holds.
            optimize=False,
            dynamic_shapes=(dynamic,),
            input_names=list(signature.input_names),
            output_names=list(signature.output_names),
            verbose=False,
        )
    if program is None:
        raise LoadError("torch.onnx.export gave no program")
    captured: ModelProto = program.model_proto
    return captured


def _example(spec: TensorSpec, given: Mapping[str, Any] | None) -> torch.Tensor:
    """An example with at least two of everything that may vary: the exporter takes a 1 for a fixed extent."""
    if given is None:
        shape = [_EXAMPLE_EXTENTS.get(dim, 2) if isinstance(dim, str) else dim for dim in spec.dims]
        return torch.zeros(shape) if spec.dtype.is_floating else torch.ones(shape, dtype=torch.int64)
    tensor = torch.from_numpy(given[spec.name].copy())
    repeats = [
        2 if isinstance(dim, str) and extent == 1 else 1 for dim, extent in zip(spec.dims, tensor.shape, strict=True)
    ]
    return tensor.repeat(repeats) if spec.dims else tensor


def _share_weights(graph: ModelProto, weights: Path) -> bool:
    """Points every weight of the graph into the package's weights file. Constants of its own stay in the graph."""
    places = read_places(weights)
    shared = False
    for tensor in graph.graph.initializer:
        place = places.get(tensor.name.removeprefix(_MODULE))
        if place is not None and _is_same(tensor, place):
            _point(tensor, place)
            shared = True
    return shared


def _is_same(tensor: TensorProto, place: Place) -> bool:
    size = len(tensor.raw_data)
    return tuple(tensor.dims) == place.shape and size == place.length_bytes and tensor.raw_data == place.read()


def _point(tensor: TensorProto, place: Place) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    facts = {"location": WEIGHTS_FILE, "offset": str(place.offset_bytes), "length": str(place.length_bytes)}
    for key, value in facts.items():
        tensor.external_data.add(key=key, value=value)


def _strip_metadata(graph: ModelProto) -> None:
    """Takes out the stack traces and names of the exporter, which are larger than the graph."""
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
    """The signature with a number wherever the graph turned out to take one extent only.

    Raises:
        LoadError: If that is so for the number of rows.
    """
    shapes = {item.name: item.type.tensor_type.shape.dim for item in graph.graph.input}
    fixed = {
        dim: extent.dim_value
        for spec in signature.inputs
        for dim, extent in zip(spec.dims, shapes[spec.name], strict=True)
        if isinstance(dim, str) and extent.HasField("dim_value")
    }
    if BATCH in fixed:
        raise LoadError(f"the model can only be captured for {fixed[BATCH]} rows")
    return signature.fixed(fixed)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the exporter from telling its own developers what it lacks."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
