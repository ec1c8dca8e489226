"""The operators of a graph that are not ONNX's own, by domain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from inferox.backends.onnx.messages import Message

BUILT_IN = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""The domains of the operators that ONNX Runtime brings, and graphs that are packed may call."""

_GRAPH, _FUNCTIONS, _MODEL_VERSIONS = 7, 25, 8
"""The fields in which a model holds its graph, its functions, and the domains that it declares."""

_GRAPH_NODES, _FUNCTION_NODES, _FUNCTION_VERSIONS = 1, 7, 9
"""The fields in which graphs and functions hold their nodes, and functions the domains that they declare."""

_NODE_DOMAIN, _ATTRIBUTES, _FUNCTION_DOMAIN = 7, 5, 10

_BRANCHES = (6, 11)
"""The fields of an attribute that hold graphs: one, and several."""


def list_foreign_domains(content: memoryview) -> frozenset[str]:
    """Lists the domains of operators that neither ONNX Runtime brings nor the graph itself defines.

    Args:
        content: The bytes of an ONNX model.

    Raises:
        WireFormatError: If the bytes are not a model.
    """
    model = Message.parse(content)
    functions = [Message.parse(part) for part in model.parts(_FUNCTIONS)]
    brought = BUILT_IN | {function.text(_FUNCTION_DOMAIN) for function in functions}
    declared = [*model.parts(_MODEL_VERSIONS)]
    for function in functions:
        declared += function.parts(_FUNCTION_VERSIONS)
    # Runtimes refuse a node whose domain is not declared, and few graphs declare any that is foreign.
    if {Message.parse(part).text(1) for part in declared} <= brought:
        return frozenset()
    called = {domain for part in model.parts(_GRAPH) for domain in _walk(Message.parse(part).parts(_GRAPH_NODES))}
    for function in functions:
        called |= set(_walk(function.parts(_FUNCTION_NODES)))
    return frozenset(called - brought)


def _walk(nodes: Iterable[memoryview | bytes]) -> Iterator[str]:
    """The domains of nodes, and of those of graphs within them."""
    waiting = list(nodes)
    while waiting:
        node = Message.parse(waiting.pop())
        yield node.text(_NODE_DOMAIN)
        for part in node.parts(_ATTRIBUTES):
            attribute = Message.parse(part)
            for number in _BRANCHES:
                for graph in attribute.parts(number):
                    waiting += Message.parse(graph).parts(_GRAPH_NODES)
