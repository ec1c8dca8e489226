"""Checks for what OpenVINO does not check itself while it computes: indices, axes and integer divisors.

Without them, the CPU plugin (2026.4) reads outside of tensors or crashes the process for some graphs, and returns
arbitrary numbers for others, where ONNX Runtime and PyTorch raise errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import openvino
from openvino import Node, Output, opset13

from inferox.backends.openvino.assertions import OUT_OF_RANGE, Assertions, is_integer_convert
from inferox.core import LoadError

_BAD_AXIS = "an axis is out of range or occurs twice"

_PASS_ON = frozenset(
    {"Broadcast", "Gather", "Reshape", "Slice", "Squeeze", "StridedSlice", "Tile", "Transpose", "Unsqueeze"}
)
"""Operators whose output only has elements of their first input."""

_AXES = {"CumSum": 1, "Roll": 2, "Slice": 4}
"""The input of each operator with its axes, which it does not check unless they are constant."""

_FOURIER = frozenset({"DFT", "IDFT", "RDFT", "IRDFT"})

_KNOWN_OPERATORS = re.compile(r"opset\d+")
"""The pattern of documented operator sets."""

_REFUSED = {"CTCLoss": "is for training, and reads memory by labels that are not checked"}


def add_guards(model: openvino.Model, bounds: Mapping[str, int], path_name: str) -> None:
    """Adds the checks to a model as it was read, including its loops and branches.

    Indices that cannot be out of range cost nothing: constants, parts of constants, and bounded inputs.

    Args:
        model: The model, which is modified.
        bounds: The exclusive upper bound of inputs whose elements are known to be non-negative and below it.
        path_name: The name of its file, for messages.

    Raises:
        LoadError: If it has operators that cannot be checked, or fails whatever its inputs are.
    """
    assertions = Assertions(path_name)
    _add_guards(model, bounds, assertions, is_main=True)
    assertions.add_collected(model)


def _add_guards(model: openvino.Model, bounds: Mapping[str, int], assertions: Assertions, *, is_main: bool) -> None:
    for node in model.get_ordered_ops():
        _check_operator(node, assertions.path_name)
        for body in _bodies(node):
            _add_guards(body, {}, Assertions(assertions.path_name), is_main=False)
        kind = node.get_type_name()
        if kind == "Gather":
            _guard_gather(node, assertions, bounds, is_main=is_main)
        elif kind in _RULES:
            _RULES[kind](node, assertions)


def _check_operator(node: Node, path_name: str) -> None:
    kind, version = node.get_type_name(), node.get_type_info().version_id
    if not _KNOWN_OPERATORS.fullmatch(version):
        raise LoadError(f"{path_name} has the operator {kind} of {version!r}, which is internal to OpenVINO")
    if kind in _REFUSED:
        raise LoadError(f"{path_name} has the operator {kind}, which {_REFUSED[kind]}")


def _bodies(node: Node) -> Iterator[openvino.Model]:
    kind = node.get_type_name()
    if kind in {"Loop", "TensorIterator"}:
        yield node.get_function()
    elif kind == "If":
        yield from (node.get_function(branch) for branch in range(2))


def _guard_gather(node: Node, assertions: Assertions, bounds: Mapping[str, int], *, is_main: bool) -> None:
    data, indices, axis = node.input_value(0), node.input_value(1), node.input_value(2).get_node()
    if axis.get_type_name() != "Constant":
        raise LoadError(f"{assertions.path_name} has a Gather along an axis that is computed, which is not checked")
    place = int(axis.get_vector()[0])
    shape = data.get_partial_shape()
    if shape.rank.is_static and shape[place].is_static and _stays_below(indices, shape[place].get_length(), bounds):
        return
    length = _length(data, place)
    if is_main:
        # OpenVINO returns zeros for indices out of range, so nothing needs to wait for the check.
        assertions.collect(indices, length, node)
    else:
        _guard_indices(node, 1, opset13.convert(length, indices.get_element_type().get_type_name()), assertions)


def _guard_gather_nd(node: Node, assertions: Assertions) -> None:
    data, indices = node.input_value(0), node.input_value(1)
    first = int(node.get_attributes().get("batch_dims", 0))
    extents = _extents(data, indices)
    count = _element(opset13.shape_of(indices), -1)
    start, step, axis = (opset13.constant(np.array([number])) for number in (first, 1, 0))
    stop = opset13.add(start, opset13.unsqueeze(count, opset13.constant(0)))
    _guard_indices(node, 1, opset13.slice(extents, start, stop, step, axis), assertions)


def _guard_scatter_elements(node: Node, assertions: Assertions) -> None:
    axis = node.input_value(3).get_node()
    if axis.get_type_name() != "Constant":
        raise LoadError(f"{assertions.path_name} scatters along an axis that is computed, which is not checked")
    length = _length(node.input_value(0), int(axis.get_vector()[0]))
    kind = node.get_input_element_type(1).get_type_name()
    _guard_indices(node, 1, opset13.convert(length, kind), assertions)


def _guard_indices(node: Node, place: int, length: Node, assertions: Assertions) -> None:
    """Requires a node's indices to be at least ``-length`` and less than ``length``, which broadcasts to them."""
    indices = node.input_value(place)
    low = opset13.less(indices, opset13.negative(length))
    high = opset13.greater_equal(indices, length)
    assertions.require_not(opset13.logical_or(low, high).output(0), node, place, OUT_OF_RANGE)


def _guard_axes(node: Node, assertions: Assertions) -> None:
    kind = node.get_type_name()
    place = 1 if kind in _FOURIER else _AXES[kind]
    rank = node.input_value(0).get_partial_shape().rank
    if place >= node.get_input_size() or node.input_value(place).get_node().get_type_name() == "Constant":
        return  # checked when the graph is read
    if not rank.is_static:
        raise LoadError(f"{assertions.path_name} has a {kind} along axes that are computed, which is not checked")
    axes = opset13.convert(node.input_value(place), "i64")
    # The last axis of a complex tensor has its two parts.
    count = rank.get_length() - (1 if kind in {"DFT", "IDFT", "IRDFT"} else 0)
    outside = opset13.logical_or(
        opset13.less(axes, opset13.constant(np.int64(-count))),
        opset13.greater_equal(axes, opset13.constant(np.int64(count))),
    )
    flat = opset13.reshape(axes, opset13.constant(np.array([-1])), special_zero=False)
    placed = opset13.floor_mod(flat, opset13.constant(np.int64(max(count, 1))))
    rows, columns = (opset13.unsqueeze(placed, opset13.constant(axis)) for axis in (0, 1))
    pairs = opset13.reduce_sum(
        opset13.convert(opset13.equal(rows, columns), "i64"), opset13.constant(np.array([0, 1])), keep_dims=False
    )
    twice = opset13.greater(pairs, _element(opset13.shape_of(flat), 0))
    assertions.require_not(opset13.logical_or(outside, twice).output(0), node, place, _BAD_AXIS)


def _guard_steps(node: Node, assertions: Assertions) -> None:
    place = 2 if node.get_type_name() == "Range" else 3
    if node.get_input_size() > place:
        steps = node.input_value(place)
        assertions.require_not(opset13.equal(steps, _constant(0, steps)).output(0), node, place, "a step is 0")


def _guard_blocks(node: Node, assertions: Assertions) -> None:
    """Guards the sizes of the output and of a block, by which the plugin divides."""
    for place in (1, 2):
        sizes = node.input_value(place)
        least = opset13.less(sizes, _constant(1, sizes))
        assertions.require_not(least.output(0), node, place, "a size is less than 1")


def _guard_division(node: Node, assertions: Assertions) -> None:
    dividend, divisor = node.input_value(0), node.input_value(1)
    kind = divisor.get_element_type()
    if not kind.is_integral_number():
        return
    bad = opset13.equal(divisor, _constant(0, divisor))
    reason = "an integer is divided by 0"
    if node.get_type_name() == "Divide" and kind.is_signed():
        # The plugin computes 64-bit integers in 32 bits, and narrows this constant as well.
        least = int(np.iinfo(kind.to_dtype()).min)
        overflow = opset13.logical_and(
            opset13.equal(dividend, _constant(least, dividend)), opset13.equal(divisor, _constant(-1, divisor))
        )
        bad = opset13.logical_or(bad, overflow)
        reason += ", or the least one by -1"
    assertions.require_not(bad.output(0), node, 1, reason)


def _guard_offsets(node: Node, assertions: Assertions) -> None:
    offsets = node.input_value(1)
    # NaN and infinities are the only numbers that do not become 0 when multiplied by 0.
    finite = opset13.equal(opset13.multiply(offsets, _constant(0, offsets)), _constant(0, offsets))
    assertions.require_not(opset13.logical_not(finite).output(0), node, 1, "an offset is not finite")


def _stays_below(indices: Output, length: int, bounds: Mapping[str, int]) -> bool:
    """Returns whether indices are parts of a constant within the range, or of a bounded input."""
    node = indices.get_node()
    while node.get_type_name() in _PASS_ON or is_integer_convert(node):
        node = node.input_value(0).get_node()
    if node.get_type_name() == "Constant":
        numbers = node.data
        return not numbers.size or bool(numbers.min() >= -length and numbers.max() < length)
    names = node.output(0).get_names() if node.get_type_name() == "Parameter" else ()
    return any(name in bounds and bounds[name] <= length for name in names)


def _extents(value: Output, like: Output) -> Node:
    """Makes a node with the extents of a tensor, in the data type of another."""
    shape = value.get_partial_shape()
    name = like.get_element_type().get_type_name()
    if shape.is_static:
        return opset13.constant(np.array([dim.get_length() for dim in shape], like.get_element_type().to_dtype()))
    return opset13.shape_of(value, name)


def _length(value: Output, place: int) -> Node:
    """Makes a node with one extent of a tensor, int64."""
    shape = value.get_partial_shape()
    if shape.rank.is_static and shape[place].is_static:
        return opset13.constant(np.int64(shape[place].get_length()))
    return _element(opset13.shape_of(value, "i64"), place)


def _element(values: Node, place: int) -> Node:
    return opset13.gather(values, opset13.constant(place), opset13.constant(0))


def _constant(number: int, like: Output) -> Node:
    return opset13.constant(np.array(number, like.get_element_type().to_dtype()))


_Rule = Callable[[Node, Assertions], None]

_RULES: Mapping[str, _Rule] = {
    "GatherND": _guard_gather_nd,
    "ScatterElementsUpdate": _guard_scatter_elements,
    **dict.fromkeys(("StridedSlice", "Range"), _guard_steps),
    "Col2Im": _guard_blocks,
    "DeformableConvolution": _guard_offsets,
    **dict.fromkeys(("Divide", "Mod", "FloorMod"), _guard_division),
    **dict.fromkeys((*_AXES, *_FOURIER), _guard_axes),
}
