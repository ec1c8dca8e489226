"""Checks for what crashes ONNX Runtime: the least integer divided by -1, and branches within branches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count

from inferox.backends.onnx.harmless_values import HarmlessValues
from inferox.backends.onnx.messages import Message, make_node
from inferox.core import LoadError

_DIVISION = "Div"

_BRANCHING = "If"

_MISTAKEN_DEPTH = 3
"""The depth of branches within branches from which ONNX Runtime (1.32) may lose values while it folds constants."""

_GRAPH, _FUNCTIONS, _MODEL_VERSIONS = 7, 25, 8
"""The fields of a model with its graph, its functions, and the versions of operators."""

_GRAPH_NODES, _FUNCTION_NODES, _FUNCTION_VERSIONS = 1, 7, 9
"""The fields with the nodes of graphs and functions, and with the operator versions of functions."""

_INPUTS, _ATTRIBUTES = 1, 5
"""The fields of a node with its inputs and its attributes."""

_BRANCHES = frozenset({6, 11})
"""The fields of an attribute with graphs: a single one, and several."""

_OWN_DOMAINS = frozenset({"", "ai.onnx"})

_OLDEST = 9
"""The oldest version of ONNX's operators in which those of the check take integers."""


def guard_divisions(content: memoryview, path_name: str) -> bytes | None:
    """Makes a graph's integer divisions fail with an error where the processor would kill the process.

    The quotient of the least integer and -1 does not fit its type, for which processors raise the same fault as for a
    divisor of 0, but ONNX Runtime (1.32) checks only the latter. So the divisor is replaced by 0 there.

    Args:
        content: The bytes of an ONNX model.
        path_name: The name of its file, for messages.

    Returns:
        The bytes of the model with the checks; ``None`` if it needs none.

    Raises:
        LoadError: If it needs one in a version of ONNX's operators in which that cannot be expressed.
        WireFormatError: If the bytes are not a model, or an ambiguous one.
    """
    if re.search(_DIVISION.encode(), content) is None:
        return None
    model = Message.parse(content)
    functions = [Message.parse(part) for part in model.parts(_FUNCTIONS)]
    trusted = not any(function.text(10) in _OWN_DOMAINS for function in functions)
    rewriter = _Rewriter(path_name, HarmlessValues(set(), set(), trusts_operators=trusted))
    graph = model.part(_GRAPH)
    if graph is not None:
        model.replace(_GRAPH, [rewriter.guard_graph(graph, _version(model, _MODEL_VERSIONS))])
        model.replace(_FUNCTIONS, [rewriter.guard_function(function) for function in functions])
    return model.write() if rewriter.checks else None


def find_harmful_optimizers(content: memoryview) -> list[str]:
    """Finds the optimisations with which ONNX Runtime would lose values of a graph.

    Where a condition is constant, it replaces a branch by the branch's nodes, whose results get other names. Where it
    then does so with what is around them, branches further within look for a name that is no more. Such a graph
    fails when it is computed, or kills the process when it is loaded.

    Args:
        content: The bytes of an ONNX model.

    Returns:
        Their names, as ONNX Runtime calls them.

    Raises:
        WireFormatError: If the bytes are not a model.
    """
    if len(re.findall(b"then_branch", content)) < _MISTAKEN_DEPTH:
        return []
    model = Message.parse(content)
    # A function's nodes may come to lie within any branch.
    parts = [(part, _FUNCTION_NODES) for part in model.parts(_FUNCTIONS)]
    parts += [(part, _GRAPH_NODES) for part in model.parts(_GRAPH)]
    is_deep = sum(_count_depth(part, field) for part, field in parts) >= _MISTAKEN_DEPTH
    return ["ConstantFolding"] if is_deep else []


def _count_depth(content: memoryview | bytes, nodes_field: int) -> int:
    """Counts the branches that lie within each other at the deepest place of a graph or function."""
    deepest = 0
    for node in map(Message.parse, Message.parse(content).parts(nodes_field)):
        attributes = [Message.parse(part) for part in node.parts(_ATTRIBUTES)]
        graphs = [graph for each in attributes for field in _BRANCHES for graph in each.parts(field)]
        within = max((_count_depth(graph, _GRAPH_NODES) for graph in graphs), default=0)
        deepest = max(deepest, within + (node.text(4) == _BRANCHING))
    return deepest


class _Rewriter:
    """Rewrites graphs with checks before divisions.

    Attributes:
        checks: The number of checks that it has written.
    """

    def __init__(self, path_name: str, nothing_known: HarmlessValues) -> None:
        self.checks = 0
        self._path_name = path_name
        self._nothing_known = nothing_known
        self._numbers = count()

    def guard_graph(
        self, content: memoryview | bytes, version: int, around: HarmlessValues | None = None
    ) -> memoryview | bytes:
        """Rewrites a graph with its checks; ``around`` has the facts known outside it, if it lies within another."""
        graph, before = Message.parse(content), self.checks
        nodes = [Message.parse(part) for part in graph.parts(_GRAPH_NODES)]
        known = (around or self._nothing_known).enter(graph, nodes, is_main=around is None)
        written = list(self._guard_nodes(nodes, version, known))
        if self.checks == before:
            return content
        graph.replace(_GRAPH_NODES, written)
        return graph.write()

    def guard_function(self, function: Message) -> bytes:
        """Rewrites a function with its checks."""
        nodes = [Message.parse(part) for part in function.parts(_FUNCTION_NODES)]
        known = self._nothing_known.enter(Message([]), nodes, is_main=False)
        function.replace(_FUNCTION_NODES, list(self._guard_nodes(nodes, _version(function, _FUNCTION_VERSIONS), known)))
        return function.write()

    def _guard_nodes(self, nodes: list[Message], version: int, known: HarmlessValues) -> Iterator[bytes]:
        for node in nodes:
            self._guard_branches(node, version, known)
            if node.text(4) == _DIVISION and node.text(7) in _OWN_DOMAINS:
                yield from self._guard_division(node, version, known)
            yield node.write()
            known.follow(node)

    def _guard_branches(self, node: Message, version: int, known: HarmlessValues) -> None:
        attributes = [Message.parse(part) for part in node.parts(_ATTRIBUTES)]
        if not any(number in _BRANCHES for attribute in attributes for number, _, _ in attribute.fields):
            return
        for attribute in attributes:
            attribute.part(6)  # readers would merge several
            for number in _BRANCHES:
                graphs = [self.guard_graph(part, version, known) for part in attribute.parts(number)]
                attribute.replace(number, graphs)
        node.replace(_ATTRIBUTES, [attribute.write() for attribute in attributes])

    def _guard_division(self, node: Message, version: int, known: HarmlessValues) -> list[bytes]:
        """Points the node to a checked divisor, and returns the nodes of the check."""
        inputs = node.texts(_INPUTS)
        if len(inputs) != 2 or known.is_safe(*inputs):  # noqa: PLR2004
            return []
        if version < _OLDEST:
            raise LoadError(
                f"{self._path_name} divides integers in version {version} of ONNX's operators, in which the divisor "
                "cannot be checked",
                hint=f"export it for version {_OLDEST} or newer",
            )
        dividend, divisor = inputs
        checks, checked = self._check(dividend, divisor)
        node.replace(_INPUTS, [part.encode(errors="surrogateescape") for part in (dividend, checked)])
        return checks

    def _check(self, dividend: str, divisor: str) -> tuple[list[bytes], str]:
        """Makes nodes that replace the divisor by 0 wherever the least integer would be divided by -1.

        The least integer is the only number whose magnitude is negative. For floating-point numbers, the same nodes
        change nothing, so the data types need not be known.
        """
        self.checks += 1
        prefix = f"inferox check {next(self._numbers)} "

        def own(name: str) -> str:
            return prefix + name

        steps = [
            ("Sub", [dividend, dividend], "zero"),
            ("Abs", [dividend], "magnitude"),
            ("Less", [own("magnitude"), own("zero")], "least"),
            ("Sub", [divisor, divisor], "nothing"),
            ("Sign", [divisor], "sign"),
            ("Less", [divisor, own("nothing")], "negative"),
            ("Less", [divisor, own("sign")], "below -1"),
            ("Not", [own("below -1")], "not below -1"),
            ("And", [own("negative"), own("not below -1")], "-1"),
            ("And", [own("least"), own("-1")], "bad"),
            ("Where", [own("bad"), own("nothing"), divisor], "checked"),
        ]
        return [make_node(operator, inputs, own(output)) for operator, inputs, output in steps], own("checked")


def _version(message: Message, field: int) -> int:
    """Reads the oldest version of ONNX's own operators that a model or a function declares."""
    items = [Message.parse(part) for part in message.parts(field)]
    return min((item.number(2) or 0 for item in items if item.text(1) in _OWN_DOMAINS), default=0)
