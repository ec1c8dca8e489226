"""Artifacts of small checkpoints, as a package would hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inferox.backends.candle import CandleBackend
from inferox.core import (
    BATCH,
    SEQUENCE,
    Artifact,
    DataType,
    ExportRequest,
    Layout,
    LoadOptions,
    Model,
    Precision,
    Signature,
    SourceModel,
    TensorSpec,
)

TEXT = ("input_ids", "attention_mask", "token_type_ids")


def text_artifact(root: Path, architecture: str, inputs: tuple[str, ...] = TEXT, **options: Any) -> Artifact:
    """The artifact of a model directory as ``save_pretrained`` writes it."""
    output = (
        TensorSpec("logits", DataType.F32, (BATCH, "labels"))
        if architecture.endswith("SequenceClassification")
        else TensorSpec("states", DataType.F32, (BATCH, SEQUENCE, "width"))
    )
    return Artifact(
        "candle",
        "safetensors",
        Precision.FP32,
        Layout.PADDED,
        {"config": "config.json", "weights": "model.safetensors"},
        Signature(tuple(TensorSpec(name, DataType.I64, (BATCH, SEQUENCE)) for name in inputs), (output,)),
        root,
        {"architecture": architecture, **options},
    )


def load(artifact: Artifact, **options: Any) -> Model:
    return CandleBackend().load(artifact, None, LoadOptions("small", **options))


def padded(source: SourceModel, precision: Precision = Precision.FP32) -> ExportRequest:
    """Requests a padded artifact."""
    return ExportRequest(precision, Layout.PADDED, source.signature)
