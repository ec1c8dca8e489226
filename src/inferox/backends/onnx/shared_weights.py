"""Pointing the weights of a graph into the package's own weights file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, TensorProto

from inferox.backends.onnx.safetensors_layout import Place
from inferox.core import WEIGHTS_FILE

if TYPE_CHECKING:
    from onnxscript import ir

INLINE_BYTES = 1024
"""Constants up to this size stay in the graph: runtimes read shapes, axes and scales of resizing to infer shapes, and
not from a file beside it. It is where the ``onnx`` package draws the line too."""

_MODULES = ("module.module.", "module.", "")
"""The prefix that wrapping the module gives to the names of its weights; empty in a graph that was one already."""


def share_weights(graph: ModelProto, places: Mapping[str, Place]) -> None:
    """Points every large weight of a graph into the weights file; other constants stay in the graph.

    Args:
        graph: The graph.
        places: Where each tensor of the weights file lies.
    """
    for tensor in graph.graph.initializer:
        if len(tensor.raw_data) <= INLINE_BYTES:
            continue
        place = _find(tensor.name, tuple(tensor.dims), tensor.raw_data, places)
        if place is not None:
            _point(tensor, place)


def share_weights_of_program(model: ir.Model, places: Mapping[str, Place]) -> None:
    """Does the same before a graph is serialised, so that no copy of the weights is made for it.

    Args:
        model: What the exporter made. Its weights are those of the module, and share their memory.
        places: Where each tensor of the weights file lies.
    """
    from onnxscript import ir

    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if tensor is None or tensor.nbytes <= INLINE_BYTES:
            continue
        data = np.ascontiguousarray(tensor.numpy()).reshape(-1).view(np.uint8).data
        place = _find(name, tuple(tensor.shape.numpy()), data, places)
        if place is not None:
            value.const_value = ir.ExternalTensor(
                WEIGHTS_FILE,
                place.offset_bytes,
                place.length_bytes,
                tensor.dtype,
                shape=ir.Shape(place.shape),
                name=name,
                base_dir=place.file.parents[len(WEIGHTS_FILE.split("/")) - 1],
            )


def _find(name: str, shape: Sequence[int], data: bytes | memoryview, places: Mapping[str, Place]) -> Place | None:
    """The place of a weight that has this shape and these bytes."""
    names = [name.removeprefix(prefix) for prefix in _MODULES if name.startswith(prefix)]
    named = (places[known] for known in names if known in places)
    return next((place for place in named if place.shape == shape and place.holds(data)), None)


def _point(tensor: TensorProto, place: Place) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    facts = {"location": WEIGHTS_FILE, "offset": str(place.offset_bytes), "length": str(place.length_bytes)}
    for key, value in facts.items():
        tensor.external_data.add(key=key, value=value)
