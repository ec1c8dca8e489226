"""A model directory as Hugging Face's libraries write it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from inferox.backends.torch.architecture import instantiate
from inferox.core import (
    BATCH,
    SEQUENCE,
    DataType,
    ManifestError,
    PackageError,
    SourceFacts,
    SourceModel,
    TensorSpec,
)
from inferox.sources.architecture import architecture_family, choose_architecture, takes_images, text_inputs
from inferox.sources.checkpoint import read_checkpoint
from inferox.sources.torch_source import Examples, TorchSource

_EXAMPLE_EXTENTS = {BATCH: 2, SEQUENCE: 4}
"""The shape on which a model is tried: two short rows."""


def open_huggingface(directory: Path, *, task: str | None, origin: Mapping[str, str] | None = None) -> SourceModel:
    """Opens a model directory.

    Args:
        directory: A folder with ``config.json`` and the weights.
        task: What the numbers are to mean; ``None`` where the checkpoint decides.
        origin: ``name``, ``repo_id`` and ``revision``, where it came from the hub.

    Raises:
        PackageError: If it is no model directory, or one of a kind that cannot be packed; its subclasses for a config or
            weights that are malformed, damaged or missing.
        ConfigError: If the task needs a head that the model lacks.
        LoadError: If the weights are not those that the architecture needs.
    """
    config = _read_config(directory)
    architecture = choose_architecture(config, task)
    inputs = _image_inputs(directory, config) if takes_images(architecture) else _text_inputs(config, architecture)
    loaded = instantiate(config, read_checkpoint(directory), architecture)
    facts = SourceFacts(
        kind="huggingface",
        name=directory.resolve().name,
        model_type=config["model_type"],
        architecture=architecture,
        architecture_family=architecture_family(config, architecture),
        config=config,
        directory=directory,
        left_out=loaded.left_out,
    )
    return TorchSource(
        replace(facts, **(origin or {})),
        loaded.module,
        Examples({spec.name: _example(spec) for spec in inputs}, inputs, came_with_model=False),
        call=lambda module, tensors: module(**tensors),
        has_weights=True,
        outputs=("last_hidden_state", "pooler_output") if takes_images(architecture) else ("last_hidden_state",),
    )


def _read_config(directory: Path) -> dict[str, Any]:
    path = directory / "config.json"
    if not path.is_file():
        raise PackageError(
            f"not a model directory: {directory} has no config.json",
            hint="a model directory is what save_pretrained of transformers writes",
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ManifestError(f"config.json is no JSON file: {error}", hint="fetch the model again") from error
    if not isinstance(config, dict):
        raise ManifestError(f"config.json must be a JSON object, and is a {type(config).__name__}")
    return config


def _text_inputs(config: Mapping[str, Any], architecture: str) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, DataType.I64, (BATCH, SEQUENCE)) for name in text_inputs(config, architecture))


def _image_inputs(directory: Path, config: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
    raise NotImplementedError


def _example(spec: TensorSpec) -> torch.Tensor:
    """Token 1 everywhere, nothing masked; grey images."""
    shape = [dim if isinstance(dim, int) else _EXAMPLE_EXTENTS[dim] for dim in spec.dims]
    if spec.dtype.is_floating:
        return torch.zeros(shape)
    return torch.full(shape, int(spec.name != "token_type_ids"), dtype=torch.int64)
