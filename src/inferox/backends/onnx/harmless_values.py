"""The search for values of an ONNX graph that are not integers of 32 or 64 bits, or are constants without -1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from inferox.backends.onnx.messages import Message
from inferox.backends.onnx.wire_format import BYTES, VARINT

INT32, INT64 = 6, 7
"""ONNX's numbers for the data types."""

_LITTLE: Mapping[int, np.dtype[np.signedinteger[Any]]] = {INT32: np.dtype("<i4"), INT64: np.dtype("<i8")}
_LISTS = {INT32: 5, INT64: 7}
"""The fields of a tensor with its numbers, other than raw bytes."""

_EXTERNAL = 1

_FLOATING = frozenset(
    {
        "Acos",
        "Acosh",
        "Asin",
        "Asinh",
        "Atan",
        "Atanh",
        "AveragePool",
        "BatchNormalization",
        "Ceil",
        "Conv",
        "ConvTranspose",
        "Cos",
        "Cosh",
        "DequantizeLinear",
        "Elu",
        "Erf",
        "Exp",
        "Floor",
        "GRU",
        "Gelu",
        "GlobalAveragePool",
        "GroupNormalization",
        "HardSigmoid",
        "InstanceNormalization",
        "LSTM",
        "LayerNormalization",
        "Log",
        "LogSoftmax",
        "LpNormalization",
        "MeanVarianceNormalization",
        "RMSNormalization",
        "RNN",
        "Reciprocal",
        "Round",
        "Selu",
        "Sigmoid",
        "Sin",
        "Sinh",
        "Softmax",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Tan",
        "Tanh",
    }
)
"""Operators that return only floating-point numbers."""

_LIKE_EACH = frozenset({"Add", "Concat", "Div", "Gemm", "MatMul", "Max", "Mean", "Min", "Mod", "Mul", "Sub", "Sum"})
"""Operators whose inputs all have the data type of the output."""

_LIKE_FIRST = frozenset(
    {
        "Abs",
        "Clip",
        "Dropout",
        "Expand",
        "Flatten",
        "Gather",
        "GatherElements",
        "GatherND",
        "GlobalMaxPool",
        "Identity",
        "LeakyRelu",
        "Neg",
        "PRelu",
        "Pad",
        "Pow",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
        "Relu",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    }
)
"""Operators whose first input has the data type of the output."""


class HarmlessValues:
    """The known facts about the values of a graph, by name, while its nodes are visited.

    A value about which nothing is known counts as harmful, as a graph may be malicious.

    Args:
        harmless: The names of values that are not integers of 32 or 64 bits.
        without_minus_one: The names of constants without -1.
        trusts_operators: Whether operators are ONNX's own. A graph may define others with the same names.
    """

    def __init__(self, harmless: set[str], without_minus_one: set[str], *, trusts_operators: bool) -> None:
        self._harmless = harmless
        self._without_minus_one = without_minus_one
        self._trusts_operators = trusts_operators

    def is_safe(self, dividend: str, divisor: str) -> bool:
        """Returns whether a division certainly does not divide the least integer by -1.

        Args:
            dividend: The name of a value.
            divisor: The name of another.
        """
        return bool({dividend, divisor} & self._harmless) or divisor in self._without_minus_one

    def enter(self, graph: Message, nodes: Iterable[Message], *, is_main: bool) -> HarmlessValues:
        """Returns the facts at the start of a graph: its inputs and constants, and those of the graph around it.

        Args:
            graph: The ``GraphProto``.
            nodes: Its nodes.
            is_main: Whether the types of its inputs are checked at run time. Others may be declared wrongly.
        """
        inputs = {item.text(1): _element_type(item) for item in map(Message.parse, graph.parts(11))}
        constants = {tensor.text(8): tensor for tensor in map(Message.parse, graph.parts(5))}
        outputs = {name for node in nodes for name in node.texts(2)}
        hidden = {*inputs, *constants, *outputs, *_sparse_names(graph)}
        inner = HarmlessValues(
            self._harmless - hidden, self._without_minus_one - hidden, trusts_operators=self._trusts_operators
        )
        for name, kind in inputs.items() if is_main else ():
            inner._note_type(name, kind)
        for name, tensor in constants.items():
            # If an input has the same name, the constant is its default.
            inner._note_constant(name, tensor, fixed=name not in inputs)
        return inner

    def follow(self, node: Message) -> None:
        """Learns about the outputs of a node.

        Args:
            node: The ``NodeProto``. Earlier nodes must have been followed.
        """
        if not self._trusts_operators or node.text(7) not in {"", "ai.onnx"}:
            return
        operator, outputs = node.text(4), node.texts(2)
        if operator in {"Constant", "Cast"} and outputs:
            found = [Message.parse(part) for part in node.parts(5)]
            attributes = {item.text(1): item for item in found}
            # Runtimes differ in which of two attributes with the same name they use.
            if len(attributes) == len(found):
                self._follow_attributes(outputs[0], attributes)
        elif self._gives_harmless(operator, node.texts(1)):
            self._harmless.update(outputs if operator == "Split" else outputs[:1])

    def _gives_harmless(self, operator: str, inputs: list[str]) -> bool:
        if operator in _FLOATING:
            return True
        if operator in _LIKE_EACH:
            return bool(self._harmless.intersection(inputs))
        if operator == "Where":
            return bool(self._harmless.intersection(inputs[1:]))
        return operator in _LIKE_FIRST and bool(self._harmless.intersection(inputs[:1]))

    def _follow_attributes(self, name: str, attributes: dict[str, Message]) -> None:
        if "to" in attributes:
            self._note_type(name, attributes["to"].number(3))
        elif "value" in attributes:
            tensor = attributes["value"].part(5)
            if tensor is not None:
                self._note_constant(name, Message.parse(tensor), fixed=True)
        elif {"value_float", "value_floats"} & set(attributes):
            self._harmless.add(name)

    def _note_type(self, name: str, kind: int | None) -> None:
        if kind and kind not in _LITTLE:
            self._harmless.add(name)

    def _note_constant(self, name: str, tensor: Message, *, fixed: bool) -> None:
        kind = tensor.number(2)
        self._note_type(name, kind)
        if (
            fixed
            and kind is not None
            and kind in _LITTLE
            and tensor.number(14) != _EXTERNAL
            and not _holds_minus_one(tensor, kind)
        ):
            self._without_minus_one.add(name)


def _holds_minus_one(tensor: Message, kind: int) -> bool:
    raw = tensor.part(9)
    if raw is not None:
        return len(raw) % _LITTLE[kind].itemsize != 0 or bool((np.frombuffer(raw, _LITTLE[kind]) == -1).any())
    for number, wire_type, value in tensor.fields:
        if number != _LISTS[kind]:
            continue
        # -1 is encoded as ten bytes, nine of them full.
        if wire_type == BYTES and isinstance(value, (memoryview, bytes)) and b"\xff" * 4 in bytes(value):
            return True
        if wire_type == VARINT and isinstance(value, int) and value & 0xFFFFFFFF == 0xFFFFFFFF:  # noqa: PLR2004
            return True
    return False


def _sparse_names(graph: Message) -> list[str]:
    values = [Message.parse(part).part(1) for part in graph.parts(15)]
    return [Message.parse(value).text(8) for value in values if value is not None]


def _element_type(item: Message) -> int | None:
    """Reads the element type of a ``ValueInfoProto``, if it describes a tensor."""
    kind = item.part(2)
    tensor = None if kind is None else Message.parse(kind).part(1)
    return None if tensor is None else Message.parse(tensor).number(1)
