"""The writer of Candle's artifacts: the weights unchanged, and for chains of layers a description."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from inferox.backends.candle.architecture import FAMILIES, read_architecture
from inferox.backends.candle.sequential import MODEL_TYPE
from inferox.core import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Artifact,
    DataType,
    Exporter,
    ExportRequest,
    LoadError,
    Precision,
    SourceModel,
)

LAYERS_FILE = "backends/candle/config.json"
"""The file with the description of a chain of layers."""

_KNOWN = (nn.Linear, nn.LayerNorm, nn.Embedding, nn.Dropout, nn.Identity)

_FUNCTIONS: dict[Any, str] = {
    torch.relu: "relu",
    nn.functional.relu: "relu",
    nn.functional.gelu: "gelu",
    nn.functional.silu: "silu",
    torch.tanh: "tanh",
    torch.sigmoid: "sigmoid",
}
_METHODS = {"relu": "relu", "tanh": "tanh", "sigmoid": "sigmoid"}
_MODULES: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
}


class CandleExporter(Exporter):
    """Checks whether the backend supports a model, and describes the model if no config does."""

    def export(self, source: SourceModel, root: Path, request: ExportRequest) -> Artifact:
        """Writes an artifact in fp32; see ``Exporter``. The weights are those of the package.

        Raises:
            LoadError: If the model has a part that the backend does not support; the message names it.
        """
        if request.precision is not Precision.FP32:
            raise LoadError(f"candle computes in fp32 here, not in {request.precision.value}")
        if source.facts.kind not in {"huggingface", "python"}:
            raise LoadError(f"candle does not run models of the kind {source.facts.kind}")
        if source.facts.kind == "huggingface":
            _check_architecture(source)
            files, options = {"config": CONFIG_FILE}, {"architecture": source.facts.architecture}
        else:
            config = {"model_type": MODEL_TYPE, "layers": _describe(source)}
            path = root / LAYERS_FILE
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
            files, options = {"config": LAYERS_FILE}, {"architecture": MODEL_TYPE}
        if (root / WEIGHTS_FILE).is_file():
            files["weights"] = WEIGHTS_FILE
        signature = request.signature
        return Artifact("candle", "safetensors", request.precision, request.layout, files, signature, root, options)


def _check_architecture(source: SourceModel) -> None:
    """Refuses a model that the backend does not support, naming the layers that it lacks if there are any.

    Raises:
        LoadError: If the model is not supported.
    """
    try:
        read_architecture(source.facts.config, source.facts.architecture)
    except LoadError as error:
        missing = sorted({type(layer).__name__ for layer in source.module.modules() if _is_foreign(layer)})
        if source.facts.model_type in FAMILIES or not missing:
            raise
        raise LoadError(
            f"candle cannot run a {source.facts.model_type} model: the backend does not support {', '.join(missing)}"
        ) from error


def _is_foreign(layer: nn.Module) -> bool:
    """Returns whether it is one of PyTorch's own layers with weights that the backend lacks."""
    own = type(layer).__module__.startswith("torch.nn.modules.") and next(layer.parameters(recurse=False), None)
    return own is not None and own is not False and not isinstance(layer, _KNOWN)


def _describe(source: SourceModel) -> list[dict[str, Any]]:
    """Describes the layers of a module that is a chain, from the graph of its ``forward``.

    Raises:
        LoadError: If it is not a chain, or has a layer that the backend lacks.
    """
    specs = (*source.signature.inputs, *source.signature.outputs)
    if len(specs) != 2 or any(spec.dtype is not DataType.F32 for spec in specs):  # noqa: PLR2004 - one in, one out
        raise LoadError(f"candle runs chains of layers from one f32 tensor to one, not {', '.join(map(str, specs))}")
    _refuse_foreign(source.module)
    try:
        graph = fx.Tracer().trace(source.module)
    except Exception as error:
        raise LoadError(f"candle runs only chains of layers, but forward cannot be read as one: {error}") from error
    layers: list[dict[str, Any]] = []
    state = next(node for node in graph.nodes if node.op == "placeholder")
    for node in list(graph.nodes)[1:]:
        if node.op == "output":
            _require_chain(node, state, "the return value")
            return layers
        _require_chain(node, state, str(node.target))
        layers += _describe_node(node, source.module)
        state = node
    return layers


def _refuse_foreign(module: nn.Module) -> None:
    foreign = sorted({type(layer).__name__ for layer in module.modules() if _is_foreign(layer)})
    if foreign:
        raise LoadError(f"candle cannot run this module: the backend does not support {', '.join(foreign)}")


def _require_chain(node: fx.Node, state: fx.Node, name: str) -> None:
    if node.all_input_nodes != [state] or not node.args or node.args[0] is not state:
        raise LoadError(f"candle runs only chains of layers, but {name} does not depend on the previous layer alone")


def _describe_node(node: fx.Node, module: nn.Module) -> list[dict[str, Any]]:
    if node.op == "call_module":
        return _describe_module(str(node.target), module.get_submodule(str(node.target)))
    names: Mapping[Any, str] = _FUNCTIONS if node.op == "call_function" else _METHODS
    if node.op not in {"call_function", "call_method"} or node.target not in names or len(node.args) != 1:
        raise LoadError(f"candle runs only chains of layers, but forward has {_label(node.target)}")
    return [{"type": _activation(names[node.target], node.kwargs.get("approximate", "none"))}]


def _describe_module(name: str, layer: nn.Module) -> list[dict[str, Any]]:
    weight, bias = (f"{name}.{part}" if getattr(layer, part, None) is not None else None for part in ("weight", "bias"))
    if type(layer) in {nn.Dropout, nn.Identity}:
        return []
    if type(layer) is nn.Linear:
        return [{"type": "linear", "weight": weight, "bias": bias}]
    if type(layer) is nn.LayerNorm and len(layer.normalized_shape) == 1:
        return [
            {"type": "layer_norm", "weight": weight, "bias": bias, "width": layer.normalized_shape[0], "eps": layer.eps}
        ]
    if type(layer) in _MODULES:
        return [{"type": _activation(_MODULES[type(layer)], getattr(layer, "approximate", "none"))}]
    raise LoadError(f"candle cannot run this module: the backend does not support {layer}")


def _activation(name: str, approximate: object) -> str:
    return "gelu_tanh" if name == "gelu" and approximate == "tanh" else name


def _label(target: str | Callable[..., Any]) -> str:
    if target in {operator.add, torch.add}:
        return "an addition"
    return target if isinstance(target, str) else getattr(target, "__name__", str(target))
