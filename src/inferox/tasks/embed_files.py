"""What sentence-transformers' files say about a model: pooling, the layers after it, prompts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inferox.core import ConfigError, PackageError
from inferox.tasks.activation import activation_of_class
from inferox.tasks.options import member_path, optional, read_json, required

MODULES_FILE = "modules.json"
SETTINGS_FILE = "config_sentence_transformers.json"

_POOLING_NAMES = {
    "cls": "cls",
    "max": "max",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean": "weighted_mean",
    "lasttoken": "last",
}
"""Our names by sentence-transformers' own, in the order in which it joins several."""

_POOLING_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weighted_mean",
    "pooling_mode_lasttoken": "last",
}

_SENTENCE_EMBEDDING = "sentence_embedding"


@dataclass
class EmbedFiles:
    """What was found.

    Attributes:
        options: The options of the task ``embed`` but for those of its texts, as JSON values.
        files: The files with the weights of the layers after pooling, relative to the model's folder.
    """

    options: dict[str, Any] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)


def read_embed_files(directory: Path) -> EmbedFiles:
    """Reads how a model's token vectors become the vector of a text.

    Args:
        directory: The folder of the model. Without ``modules.json``, the mean of the token vectors is taken.

    Raises:
        ConfigError: If the model has a layer that this task does not compute.
        PackageError: If a file cannot be read or a field is of the wrong type.
        UnsafePathError: If a layer lies outside the model's folder.
    """
    settings = read_json(directory / SETTINGS_FILE) or {}
    prompts = {
        name: text for name, text in (optional(settings, "prompts", dict) or {}).items() if isinstance(text, str)
    }
    found = EmbedFiles(
        {
            "pooling": ["mean"],
            "include_prompt": True,
            "modules": [],
            "prompts": prompts,
            "default_prompt": optional(settings, "default_prompt_name", str),
            "truncate_dim": optional(settings, "truncate_dim", int),
        }
    )
    for module in read_modules(directory):
        _add(module, directory, found)
    return found


def read_modules(directory: Path) -> list[Mapping[str, Any]]:
    """Reads ``modules.json``; empty where there is none.

    Raises:
        PackageError: If it is no list of objects.
    """
    try:
        modules = json.loads((directory / MODULES_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise PackageError(f"{MODULES_FILE} cannot be read: {error}", hint="fetch the model again") from error
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise PackageError(f"{MODULES_FILE} must be a list of objects")
    return modules


def _add(module: Mapping[str, Any], directory: Path, found: EmbedFiles) -> None:
    kind = required(module, "type", str).rpartition(".")[2]
    folder = optional(module, "path", str) or ""
    config = read_json(member_path(directory, f"{folder}/config.json" if folder else "config.json")) or {}
    if kind in {"Transformer", "Dropout"}:
        return
    if kind not in {"Pooling", "Normalize", "Dense", "LayerNorm"}:
        raise ConfigError(
            f"the model has a layer of the type {kind}, which the task embed does not compute",
            hint="pack it with the task raw, and compute that layer yourself",
        )
    if kind == "Pooling":
        found.options["pooling"] = _pooling(config)
        found.options["include_prompt"] = config.get("include_prompt", True) is not False
        return
    for key in ("module_input_name", "module_output_name"):
        if config.get(key) not in {None, _SENTENCE_EMBEDDING}:
            raise ConfigError(
                f"the layer {folder!r} of the type {kind} works on {config[key]!r}, and the task embed has layers on "
                f"{_SENTENCE_EMBEDDING!r} alone",
                hint="pack it with the task raw, and compute that layer yourself",
            )
    found.options["modules"].append(_layer(kind, folder, config, found))


def _pooling(config: Mapping[str, Any]) -> list[str]:
    stated = config.get("pooling_mode")
    if stated is not None:
        names = stated if isinstance(stated, list) else [stated]
        unknown = [name for name in names if name not in _POOLING_NAMES]
        if unknown:
            raise ConfigError(f"pooling by {unknown} is unknown; known are {', '.join(_POOLING_NAMES)}")
        return [_POOLING_NAMES[name] for name in names]
    return [name for flag, name in _POOLING_FLAGS.items() if config.get(flag) is True] or ["mean"]


def _layer(kind: str, folder: str, config: Mapping[str, Any], found: EmbedFiles) -> dict[str, Any]:
    if kind == "Normalize":
        return {"type": "normalise"}
    weights = f"{folder}/model.safetensors"
    found.files.append(weights)
    if kind == "LayerNorm":
        return {"type": "layer_norm", "weights": weights}
    stated = optional(config, "activation_function", str) or "torch.nn.modules.activation.Tanh"
    activation = activation_of_class(stated)
    if activation is None:
        raise ConfigError(
            f"the layer {folder!r} uses the activation function {stated}, which the task embed does not compute",
            hint="pack it with the task raw, and compute that layer yourself",
        )
    return {
        "type": "dense",
        "weights": weights,
        "activation": activation,
        "residual": config.get("use_residual") is True,
    }
