"""The domains of a graph's operators that are not ONNX's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from inferox.backends.onnx.messages import Message

BUILT_IN = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""The domains of ONNX Runtime's own operators, which packed graphs may call."""

_GRAPH, _FUNCTIONS, _MODEL_VERSIONS = 7, 25, 8
"""The fields of a model with its graph, its functions, and the domains that it declares."""

_GRAPH_NODES, _FUNCTION_NODES, _FUNCTION_VERSIONS = 1, 7, 9
"""The fields with the nodes of graphs and functions, and with the domains that functions declare."""

_NODE_DOMAIN, _ATTRIBUTES, _FUNCTION_DOMAIN = 7, 5, 10

_BRANCHES = (6, 11)
"""The fields of an attribute with graphs: a single one, and several."""


def list_foreign_domains(content: memoryview) -> frozenset[str]:
    """Lists the domains of operators that neither ONNX Runtime provides nor the graph itself defines.

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
    # Runtimes refuse a node whose domain is not declared, and few graphs declare foreign ones.
    if {Message.parse(part).text(1) for part in declared} <= brought:
        return frozenset()
    called = {domain for part in model.parts(_GRAPH) for domain in _walk(Message.parse(part).parts(_GRAPH_NODES))}
    for function in functions:
        called |= set(_walk(function.parts(_FUNCTION_NODES)))
    return frozenset(called - brought)


def _walk(nodes: Iterable[memoryview | bytes]) -> Iterator[str]:
    """Yields the domains of nodes, and of those in subgraphs within them."""
    waiting = list(nodes)
    while waiting:
        node = Message.parse(waiting.pop())
        yield node.text(_NODE_DOMAIN)
        for part in node.parts(_ATTRIBUTES):
            attribute = Message.parse(part)
            for number in _BRANCHES:
                for graph in attribute.parts(number):
                    waiting += Message.parse(graph).parts(_GRAPH_NODES)
