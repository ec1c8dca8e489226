"""The replacement of a graph's weights by references to the package's own weights file."""

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
"""The size up to which constants stay in the graph: runtimes read shapes, axes and resize scales for shape inference,
but not from a file beside it. The ``onnx`` package uses the same limit."""

_MODULES = ("module.module.", "module.", "")
"""The prefixes of weight names that come from wrapping the module; empty in a graph from elsewhere."""


def share_weights(graph: ModelProto, places: Mapping[str, Place]) -> None:
    """Replaces every large weight of a graph by a reference to the weights file; other constants stay in the graph.

    Args:
        graph: The graph.
        places: The place of each tensor in the weights file.
    """
    for tensor in graph.graph.initializer:
        if len(tensor.raw_data) <= INLINE_BYTES:
            continue
        place = _find(tensor.name, tuple(tensor.dims), tensor.raw_data, places)
        if place is not None:
            _point(tensor, place)


def share_weights_of_program(model: ir.Model, places: Mapping[str, Place]) -> None:
    """Does the same before a graph is serialised, so that the weights are not copied for it.

    Args:
        model: The exporter's result, whose weights share the module's memory.
        places: The place of each tensor in the weights file.
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
    """Finds the place of a weight with this shape and these bytes."""
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
