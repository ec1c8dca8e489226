"""Bounds of the integer inputs of an OpenVINO model, from the tables of known length that they index."""

from __future__ import annotations

import openvino

_PASS_ON = frozenset({"Convert", "Reshape", "Squeeze", "Unsqueeze", "Transpose"})
"""Operators whose first input's elements are those of the output, in another arrangement."""

_ADJUST = frozenset({"Convert", "Multiply", "Subtract"})
"""The operators between a compressed table and where it is read."""


def find_index_bounds(model: openvino.Model) -> dict[str, int]:
    """Finds how many things each input tells apart, from the tables that it is an index of.

    Args:
        model: The model, as it was read.

    Returns:
        For each input that is an index of a table, by each of its names, the number up to which, exclusive, its
        elements may go.
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
    """The node behind others of some types, by their first inputs."""
    while node.get_type_name() in between and not _is_narrowing(node):
        node = node.input_value(0).get_node()
    return node


def _is_narrowing(node: openvino.Node) -> bool:
    """Returns whether a node converts indices to a type too narrow for all of them: a short integer, or boolean."""
    target = node.get_output_element_type(0)
    narrow = target.is_integral() and target.get_size() < 4  # noqa: PLR2004 - bytes
    return bool(node.get_type_name() == "Convert" and narrow)
