"""Assertions within a graph that OpenVINO itself checks whenever it computes: a call fails if one does not hold."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import openvino
from openvino import Node, Output, opset13
from openvino.passes import ConstantFolding, Manager

from inferox.backends.openvino.errors import CHECK_PREFIX
from inferox.core import LoadError

OUT_OF_RANGE = "an index is out of range"

_SAME_ELEMENTS = frozenset({"Reshape", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators whose output has the elements of their first input, possibly rearranged."""

_LONGEST_NAME = 80


@dataclass
class _Indices:
    """Indices, with the nodes that use them.

    Attributes:
        magnitude: The least length of a table that has all of them.
        lengths: The lengths of the tables that they index.
        names: The names of the nodes that use them.
    """

    magnitude: Node
    lengths: list[Node] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


@dataclass
class Assertions:
    """Adds assertions about the values of a graph.

    An assertion that depends only on constants is evaluated at once and costs nothing later.

    Attributes:
        path_name: The name of the file that the graph is from, for messages.
        collected: Indices whose check no node depends on, by the value that holds them.
        constant: Whether nodes, by their names, depend only on constants.
    """

    path_name: str
    collected: dict[str, _Indices] = field(default_factory=dict)
    constant: dict[str, bool] = field(default_factory=dict)

    def require_not(self, bad: Output, node: Node, place: int, reason: str) -> None:
        """Makes a node's input depend on the assertion that no element of a condition is true.

        Args:
            bad: The condition, in booleans of any shape.
            node: The node.
            place: The index of its input that is to depend on the assertion.
            reason: The fault, such as ``an index is out of range``.

        Raises:
            LoadError: If the assertion fails whatever the model's inputs are.
        """
        told = f"{reason} in {node.get_type_name()} {_printable(node)!r}"
        if self._is_settled(bad, told):
            return
        value = node.input_value(place)
        nothing = opset13.squeeze(_fail_if(bad, told), opset13.constant(np.array([0])))
        nothing = opset13.convert(nothing, value.get_element_type().get_type_name())
        node.input(place).replace_source_output(opset13.add(value, nothing).output(0))

    def collect(self, indices: Output, length: Node, node: Node) -> None:
        """Requires indices to be at least ``-length`` and less than ``length``, for ``add_collected`` to add.

        Args:
            indices: The indices.
            length: A number, int64.
            node: The node that uses them. It does not depend on the check, and must stay within its tensor by itself.

        Raises:
            LoadError: If one is out of range whatever the model's inputs are.
        """
        bad = opset13.greater_equal(_magnitude(indices), length).output(0)
        if self._is_settled(bad, f"{OUT_OF_RANGE} in {node.get_type_name()} {_printable(node)!r}"):
            return
        source = _source(indices)
        key = f"{source.get_node().get_name()} {source.get_index()}"
        if key not in self.collected:
            self.collected[key] = _Indices(_magnitude(source))
        self.collected[key].lengths.append(length)
        self.collected[key].names.append(_printable(node))

    def add_collected(self, model: openvino.Model) -> None:
        """Adds the checks of all collected indices to a model as a single output that nobody reads.

        Args:
            model: The model.
        """
        if not self.collected:
            return
        magnitudes, lengths, names = [], [], []
        for each in self.collected.values():
            magnitudes.append(each.magnitude)
            lengths.append(_least(each.lengths))
            names += each.names
        others = f", or in one of {len(names) - 1} others" if len(names) > 1 else ""
        bad = opset13.greater_equal(opset13.concat(magnitudes, 0), opset13.concat(lengths, 0))
        checked = _fail_if(bad.output(0), f"{OUT_OF_RANGE} in Gather {names[0]!r}{others}")
        checked.output(0).set_names({CHECK_PREFIX})
        model.add_results([opset13.result(checked)])

    def _is_settled(self, bad: Output, told: str) -> bool:
        """Returns whether an assertion about constants was evaluated, and holds."""
        always = _evaluate(bad) if self._is_constant(bad.get_node()) else None
        if always:
            raise LoadError(f"{self.path_name} fails whatever its inputs are: {told}", hint="export the model again")
        return always is False

    def _is_constant(self, node: Node) -> bool:
        """Returns whether a node depends only on constants. Walks without recursion, as graphs can be deep."""
        waiting = [node]
        while waiting:
            current = waiting[-1]
            name = current.get_name()
            inputs = [value.get_node() for value in current.input_values()]
            unknown = [each for each in inputs if each.get_name() not in self.constant]
            if name in self.constant or not unknown:
                known = bool(inputs) and all(self.constant[each.get_name()] for each in inputs)
                self.constant[name] = current.get_type_name() == "Constant" or known
                waiting.pop()
            else:
                waiting.extend(unknown)
        return self.constant[node.get_name()]


def _magnitude(indices: Output) -> Node:
    """Computes the least length of a table that has all indices, less one; [1], int64: 2 for -3, and 3 for 3."""
    # The bitwise complement of a negative number is one less than its magnitude.
    wide = opset13.convert(indices, "i64")
    flat = opset13.reshape(opset13.maximum(wide, opset13.bitwise_not(wide)), _constants(-1), special_zero=False)
    return opset13.reduce_max(flat, _constants(0), keep_dims=True)


def _least(lengths: list[Node]) -> Node:
    flat = [opset13.reshape(length, _constants(1), special_zero=False) for length in lengths]
    return flat[0] if len(flat) == 1 else opset13.reduce_min(opset13.concat(flat, 0), _constants(0), keep_dims=True)


def _source(indices: Output) -> Output:
    """Finds the origin of indices, through operators that preserve all of them."""
    node = indices.get_node()
    while node.get_type_name() in _SAME_ELEMENTS or is_integer_convert(node):
        indices = node.input_value(0)
        node = indices.get_node()
    return indices


def is_integer_convert(node: Node) -> bool:
    """Returns whether a node converts indices from one width to another.

    Args:
        node: A node.
    """
    if node.get_type_name() != "Convert":
        return False
    kinds = {node.get_output_element_type(0).get_type_name(), node.get_input_element_type(0).get_type_name()}
    return kinds <= {"i32", "i64"}


def _constants(*numbers: int) -> Node:
    return opset13.constant(np.array(numbers))


def _fail_if(bad: Output, told: str) -> Node:
    """Makes a zero, [1], whose computation fails if anything is wrong, by taking the second element of a table of one.

    The CPU plugin (2026.4) checks the indices of ``GatherElements``, but not those of ``Gather`` and ``GatherND``.
    """
    flat = opset13.reshape(bad, _constants(-1), special_zero=False)
    any_bad = opset13.convert(opset13.reduce_logical_or(flat, _constants(0), keep_dims=True), "i32")
    checked = opset13.gather_elements(opset13.constant(np.array([0], np.int32)), any_bad, axis=0)
    checked.set_friendly_name(CHECK_PREFIX + told)
    return checked


def _evaluate(bad: Output) -> bool | None:
    """Returns whether anything is wrong, if that depends only on constants; ``None`` if only running it tells."""
    model = openvino.Model([opset13.result(bad)], []).clone()
    passes = Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(model)
    found = model.get_results()[0].input_value(0).get_node()
    return bool(np.any(found.data)) if found.get_type_name() == "Constant" else None


def _printable(node: Node) -> str:
    """Formats the name of a foreign graph's node for a message."""
    shown = "".join(letter for letter in node.get_friendly_name() if letter.isprintable())
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[:_LONGEST_NAME]}…"
