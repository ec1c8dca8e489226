"""The reader of ONNX files, which refuses what no package can contain: foreign code, texts, randomness."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from inferox.backends.onnx.domains import BUILT_IN
from inferox.backends.onnx.external_data import check_external_data
from inferox.core import PackageError, Precision

_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)

_QUANTISED = frozenset(
    {
        "ConvInteger",
        "DynamicQuantizeLSTM",
        "DynamicQuantizeMatMul",
        "GatherBlockQuantized",
        "MatMulBnb4",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "MatMulNBits",
        "QAttention",
        "QGemm",
        "QLinearConv",
        "QLinearMatMul",
    }
)

_VALUE_DEPENDENT = frozenset({"Compress", "NonMaxSuppression", "NonZero", "Unique"})
"""Operators whose number of output elements depends on the input values."""

_HALF: dict[int, Precision] = {TensorProto.FLOAT16: Precision.FP16, TensorProto.BFLOAT16: Precision.BF16}

_INTEGERS = frozenset(
    {TensorProto.INT8, TensorProto.UINT8, TensorProto.INT4, TensorProto.UINT4, TensorProto.INT16, TensorProto.UINT16}
)


def read_onnx(path: Path, *, known: Collection[str] = ()) -> ModelProto:
    """Reads a graph without its external data.

    Args:
        path: The file.
        known: The domains of operators that an installed library computes.

    Raises:
        PackageError: If it is not a valid graph, has other custom operators, takes or returns texts or anything but
            tensors, or is random. Its subclass ``UnsafePathError``, if it names weights outside its folder.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        raise PackageError(f"{path.name} is not an ONNX file, or is damaged: {error}") from error
    _check_versions(model, path.name)
    _check_operators(model, path.name, known)
    for item in (*model.graph.input, *model.graph.output):
        kind = item.type.WhichOneof("value")
        if kind not in {"tensor_type", None}:
            raise PackageError(f"{path.name} has {item.name!r}, a {kind.removesuffix('_type')}, not a tensor")
        if item.type.tensor_type.elem_type == TensorProto.STRING:
            raise PackageError(
                f"{path.name} has {item.name!r}, a tensor of texts, but packages hold models of numbers",
                hint="export the model without the step that reads or writes text",
            )
    check_external_data(model, path.parent)
    try:
        onnx.checker.check_model(path)
    # Names that are not UTF-8 end up in a message that then cannot be decoded.
    except (onnx.checker.ValidationError, UnicodeDecodeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise PackageError(f"{path.name} is not a valid ONNX graph: {reason}") from error
    return model


def find_precision(model: ModelProto) -> Precision:
    """Finds the precision of a graph: that of most of its weights, or ``int8`` if it is quantised.

    Args:
        model: The graph; its weights may be external.
    """
    nodes = list(_nodes(model.graph))
    small = {item.name for item in _initializers(model.graph) if item.data_type in _INTEGERS}
    quantised = any(
        node.op_type in _QUANTISED
        or (node.op_type == "DequantizeLinear" and node.input[0] in small)
        or (node.op_type == "DynamicQuantizeLinear")
        for node in nodes
    )
    if quantised:
        return Precision.INT8
    sizes: dict[int, int] = {}
    for tensor in (*_initializers(model.graph), *_constants(nodes)):
        count = 1
        for extent in tensor.dims:
            count *= extent
        sizes[tensor.data_type] = sizes.get(tensor.data_type, 0) + count
    floating = {kind: size for kind, size in sizes.items() if kind in {*_HALF, TensorProto.FLOAT, TensorProto.DOUBLE}}
    if not floating:
        return Precision.FP32
    return _HALF.get(max(floating, key=lambda kind: floating[kind]), Precision.FP32)


def find_loose_axes(model: ModelProto) -> dict[str, tuple[int, ...]]:
    """Finds the axes of outputs whose extents may depend on values, such as the number of detected objects.

    Args:
        model: The graph.

    Returns:
        For each output, the axes that the graph declares as free, if it has an operator that can cause this.
    """
    if not any(node.op_type in _VALUE_DEPENDENT for node in _nodes(model.graph)):
        return {}
    return {
        item.name: tuple(
            axis for axis, dim in enumerate(item.type.tensor_type.shape.dim) if not dim.HasField("dim_value")
        )
        for item in model.graph.output
    }


def _check_versions(model: ModelProto, name: str) -> None:
    """Refuses operator versions that do not exist yet, as some runtimes treat them as ones that they know."""
    newest = onnx.defs.onnx_opset_version()
    for opset in model.opset_import:
        if opset.domain in {"", "ai.onnx"} and opset.version > newest:
            raise PackageError(
                f"{name} is written in version {opset.version} of ONNX's operators, but onnx {onnx.__version__} knows "
                f"those up to {newest}",
                hint="upgrade onnx, or export the model for an older version",
            )


def _check_operators(model: ModelProto, name: str, known: Collection[str]) -> None:
    nodes = [*_nodes(model.graph), *(node for function in model.functions for node in _within(function.node))]
    brought = BUILT_IN | set(known) | {function.domain for function in model.functions}
    custom = sorted({f"{node.domain}.{node.op_type}" for node in nodes if node.domain not in brought})
    if custom:
        raise PackageError(
            f"{name} has custom operators, which are code that no runtime includes: {', '.join(custom)}",
            hint="install the distribution that registers their library as inferox.onnxruntime_operators, or export "
            "the model without them",
        )
    random = sorted({node.op_type for node in nodes if node.op_type in _RANDOM and node.domain in {"", "ai.onnx"}})
    if random:
        raise PackageError(
            f"{name} is random, so no two runs agree: it has {', '.join(random)}",
            hint="export it with its noise as an input, or in evaluation mode",
        )


def _nodes(graph: GraphProto) -> Iterator[NodeProto]:
    return _within(graph.node)


def _within(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """Yields the nodes, and those of subgraphs within them."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        for graph in _subgraphs(node):
            waiting.extend(graph.node)


def _subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def _initializers(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in _nodes(graph):
        for inner in _subgraphs(node):
            yield from inner.initializer


def _constants(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    for node in nodes:
        if node.op_type == "Constant":
            yield from (attribute.t for attribute in node.attribute if attribute.name == "value")
