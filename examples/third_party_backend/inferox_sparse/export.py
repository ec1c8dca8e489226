"""The export of artifacts at pack time: the steps of the module, and the names of their weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from inferox.core import WEIGHTS_FILE, Artifact, Exporter, ExportRequest, LoadError, Precision, SourceModel

STEPS_FILE = "backends/sparse/steps.json"

_ACTIVATIONS = {torch.nn.ReLU: "relu", torch.nn.Sigmoid: "sigmoid", torch.nn.Tanh: "tanh"}


class SparseExporter(Exporter):
    """Writes the steps of a ``torch.nn.Sequential``. The weights are in the package already."""

    def export(self, source: SourceModel, root: Path, request: ExportRequest) -> Artifact:
        """Writes ``steps.json``; see ``Exporter``."""
        if request.precision is not Precision.FP32:
            raise LoadError(f"sparse computes in fp32 alone, not in {request.precision.value}")
        steps = _list_steps(source)
        path = root / STEPS_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(steps), encoding="utf-8")
        files = {"steps": STEPS_FILE, "weights": WEIGHTS_FILE}
        return Artifact("sparse", "safetensors", request.precision, request.layout, files, request.signature, root)


def _list_steps(source: SourceModel) -> list[dict[str, str]]:
    if not isinstance(source.module, torch.nn.Sequential):
        raise LoadError(
            f"sparse runs a torch.nn.Sequential, but {source.facts.name} is a {type(source.module).__name__}"
        )
    return [_describe(name, layer) for name, layer in source.module.named_children()]


def _describe(name: str, layer: torch.nn.Module) -> dict[str, str]:
    if isinstance(layer, torch.nn.Linear) and layer.bias is not None:
        return {"linear": name}
    if type(layer) in _ACTIVATIONS:
        return {"activation": _ACTIVATIONS[type(layer)]}
    raise LoadError(f"sparse has no {layer}, which is layer {name}", hint="it has Linear, ReLU, Sigmoid and Tanh")
