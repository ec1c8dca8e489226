"""Bounds of an ONNX graph's integer inputs, derived from the tables of known length that they index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper
from onnx.inliner import inline_local_functions

_WHOLE = frozenset({TensorProto.INT32, TensorProto.INT64})
"""Types to which a cast preserves every index; narrower types wrap around, and booleans have two values."""

_PASS_ON = frozenset({"Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Expand", "Tile"})
"""Operators whose output has the elements of the first input, possibly rearranged."""

_EMBED_TABLES = {0: 2, 1: 4}
"""The input position of the table by that of its indices, for ``EmbedLayerNormalization``."""


@dataclass
class _Scope:
    """The facts known about the values of a graph.

    Attributes:
        constants: The shape of each constant.
        sources: For a value that holds the elements of an input: that input, and the amount added to them.
        values: Small constants.
    """

    constants: dict[str, tuple[int, ...]] = field(default_factory=dict)
    sources: dict[str, tuple[str, int]] = field(default_factory=dict)
    values: dict[str, TensorProto] = field(default_factory=dict)


def find_index_bounds(model: ModelProto) -> dict[str, int]:
    """Finds the number of distinct values of each input, from the tables that it indexes.

    It follows operators that rearrange indices, and additions of a number.

    Args:
        model: The graph; its weights may be external.

    Returns:
        The exclusive upper bound of each input that indexes a table.
    """
    if model.functions:
        model = inline_local_functions(model)
    bounds: dict[str, int] = {}
    scope = _Scope(sources={item.name: (item.name, 0) for item in model.graph.input})
    _walk(model.graph, scope, bounds)
    return {name: bound for name, bound in bounds.items() if bound > 0}


def _walk(graph: GraphProto, scope: _Scope, bounds: dict[str, int]) -> None:
    for item in graph.initializer:
        _add_constant(scope, item.name, item)
    for node in graph.node:
        # Lookups in a branch give no bound, as the branch may not be taken.
        for attribute in node.attribute if node.op_type != "If" else ():
            for inner in _subgraphs(attribute):
                nested = _Scope(dict(scope.constants), dict(scope.sources), dict(scope.values))
                for item in inner.input:
                    nested.sources.pop(item.name, None)
                _walk(inner, nested, bounds)
        _follow(node, scope, bounds)


def _subgraphs(attribute: AttributeProto) -> Iterable[GraphProto]:
    return [attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs


def _add_constant(scope: _Scope, name: str, tensor: TensorProto) -> None:
    scope.constants[name] = tuple(tensor.dims)
    scope.sources.pop(name, None)  # an input with a default
    if tensor.data_location != TensorProto.EXTERNAL and int(np.prod(tensor.dims)) == 1:
        scope.values[name] = tensor


def _follow(node: NodeProto, scope: _Scope, bounds: dict[str, int]) -> None:
    if node.op_type == "Constant":
        for tensor in (item.t for item in node.attribute if item.name == "value"):
            _add_constant(scope, node.output[0], tensor)
    elif node.op_type == "Gather":
        axis = next((item.i for item in node.attribute if item.name == "axis"), 0)
        _bound(scope, bounds, table=node.input[0], axis=axis, indices=node.input[1])
    elif node.op_type == "EmbedLayerNormalization":
        _bound_embeddings(node, scope, bounds)
    elif node.op_type in {"Cast", "DequantizeLinear", "Identity"} and node.input[0] in scope.constants:
        scope.constants[node.output[0]] = scope.constants[node.input[0]]
    elif node.op_type in _PASS_ON and node.input[0] in scope.sources and not _is_narrowing(node):
        scope.sources[node.output[0]] = scope.sources[node.input[0]]
    elif node.op_type in {"Add", "Sub"}:
        _shift(node, scope)


def _is_narrowing(node: NodeProto) -> bool:
    return node.op_type == "Cast" and any(item.name == "to" and item.i not in _WHOLE for item in node.attribute)


def _bound_embeddings(node: NodeProto, scope: _Scope, bounds: dict[str, int]) -> None:
    for place, table in _EMBED_TABLES.items():
        if len(node.input) > table:
            _bound(scope, bounds, table=node.input[table], axis=0, indices=node.input[place])


def _bound(scope: _Scope, bounds: dict[str, int], *, table: str, axis: int, indices: str) -> None:
    shape, source = scope.constants.get(table), scope.sources.get(indices)
    if shape is None or source is None or not shape:
        return
    name, added = source
    bound = shape[axis] - added
    bounds[name] = min(bound, bounds.get(name, bound))


def _shift(node: NodeProto, scope: _Scope) -> None:
    """Follows indices to which a number is added, as positions are."""
    first, second = node.input
    if node.op_type == "Add" and second in scope.sources:
        first, second = second, first
    number = _number(scope.values, second)
    if first in scope.sources and number is not None and number >= 0 and node.op_type == "Add":
        name, added = scope.sources[first]
        scope.sources[node.output[0]] = (name, added + number)


def _number(values: Mapping[str, TensorProto], name: str) -> int | None:
    if name not in values:
        return None
    array = numpy_helper.to_array(values[name])
    return int(array.flat[0]) if array.dtype.kind in "iu" else None
