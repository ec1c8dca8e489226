"""Bounds of an OpenVINO model's integer inputs, derived from the tables of known length that they index."""

from __future__ import annotations

import openvino

_PASS_ON = frozenset({"Convert", "Reshape", "Squeeze", "Unsqueeze", "Transpose"})
"""Operators whose output has the elements of the first input, possibly rearranged."""

_ADJUST = frozenset({"Convert", "Multiply", "Subtract"})
"""The operators between a compressed table and its lookup."""


def find_index_bounds(model: openvino.Model) -> dict[str, int]:
    """Finds the number of distinct values of each input, from the tables that it indexes.

    Args:
        model: The model, as it was read.

    Returns:
        The exclusive upper bound of each input that indexes a table, by each of its names.
    """
    bounds: dict[str, int] = {}
    for node in model.get_ops():
        if node.get_type_name() != "Gather":
            continue
        table = _first_of(node.input_value(0).get_node(), _ADJUST)
        indices = _first_of(node.input_value(1).get_node(), _PASS_ON)
        axis = node.input_value(2).get_node()
        kinds = [each.get_type_name() for each in (table, indices, axis)]
        if kinds != ["Constant", "Parameter", "Constant"]:
            continue
        length = node.input_value(0).get_partial_shape()[int(axis.get_vector()[0])]
        for name in indices.output(0).get_names() if length.is_static else ():
            bounds[name] = min(length.get_length(), bounds.get(name, length.get_length()))
    return bounds


def _first_of(node: openvino.Node, between: frozenset[str]) -> openvino.Node:
    """Follows first inputs through nodes of some types, and returns the node behind them."""
    while node.get_type_name() in between and not _is_narrowing(node):
        node = node.input_value(0).get_node()
    return node


def _is_narrowing(node: openvino.Node) -> bool:
    """Returns whether a node converts indices to a type too narrow for all of them: a short integer, or boolean."""
    target = node.get_output_element_type(0)
    narrow = target.is_integral() and target.get_size() < 4  # noqa: PLR2004 - bytes
    return bool(node.get_type_name() == "Convert" and narrow)
