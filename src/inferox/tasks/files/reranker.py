"""The source of pair scores that sentence-transformers' files state: a classifier, or layers of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inferox.core import ConfigError, counted
from inferox.sources.model_directory import stated_architecture
from inferox.sources.sentence_modules import (
    MODULES_FILE,
    RAW_HINT,
    SETTINGS_FILE,
    SentenceModule,
    read_modules,
    unsupported_module,
)
from inferox.tasks.activation import activation_of_class
from inferox.tasks.files.embedder import ModuleFiles, read_chain
from inferox.tasks.files.sentence_settings import check_transformer_settings, read_model_settings, refuse_chat_template
from inferox.tasks.labels import read_labels
from inferox.tasks.options import member_path, read_json

SCORES = "scores"
"""The name that sentence-transformers gives to a pair's scores."""


def read_rerank_files(directory: Path, config: Mapping[str, Any]) -> ModuleFiles:
    """Reads how a cross-encoder's scores are made.

    Args:
        directory: The folder of the model.
        config: Its ``config.json``.

    Returns:
        ``activation``, as sentence-transformers' files or the config name it, otherwise ``sigmoid``; ``prompt``, which
        is put before each query; and for a model whose scores come from layers after pooling, ``pooling``,
        ``include_prompt`` and ``modules``, with the files of those layers.

    Raises:
        ConfigError: If the model gives vectors or several scores, or has a layer, a setting or an activation that this
            task does not support.
        PackageError: If a file is missing or cannot be read.
    """
    modules = read_modules(directory)
    if not modules:
        refuse_chat_template(directory)
    # Without modules.json, sentence-transformers ignores its other settings.
    settings = read_model_settings(directory) if modules else {}
    # The modules are checked before the labels, which an encoder's config does not have.
    found = _read_layers(directory, modules, settings)
    if "pooling" not in found.options:
        _check_labels(config)
    found.options |= {"activation": _activation(settings, config), "prompt": _default_prompt(settings)}
    return found


def _check_kind(settings: Mapping[str, Any], kinds: Sequence[str]) -> None:
    kind = settings.get("model_type")
    if kind != "CrossEncoder":
        stated = f"{SETTINGS_FILE} states the model_type {kind}" if kind else f"{SETTINGS_FILE} states no model_type"
        raise ConfigError(
            f"{MODULES_FILE} lists {', '.join(kinds)}, and {stated}: the model gives vectors of texts, not scores of "
            "pairs",
            hint="use the task embed",
        )


def _read_layers(directory: Path, modules: Sequence[SentenceModule], settings: Mapping[str, Any]) -> ModuleFiles:
    computed = [module for module in modules if module.kind != "Dropout"]
    kinds = [module.kind for module in computed]
    if kinds in ([], ["Transformer"]):
        if modules:
            check_transformer_settings(
                directory, task="sequence-classification", method_output="logits", module_output=SCORES
            )
        return ModuleFiles()
    for index, module in enumerate(modules):
        if module.kind not in {"Transformer", "Dropout", "Pooling", "Dense", "LayerNorm", "Normalize"}:
            raise unsupported_module(module, index)
    _check_kind(settings, kinds)
    check_transformer_settings(
        directory, task="feature-extraction", method_output="last_hidden_state", module_output="token_embeddings"
    )
    if kinds[-1] != "Dense":
        raise ConfigError(
            f"{MODULES_FILE} lists {', '.join(kinds)}; the last must be a Dense that computes the scores",
            hint=RAW_HINT,
        )
    found = read_chain(directory, modules, output=SCORES)
    _check_width(directory, computed[-1])
    return found


def _check_width(directory: Path, module: SentenceModule) -> None:
    width = (read_json(member_path(directory, module.file("config.json"))) or {}).get("out_features")
    if width != 1:
        raise ConfigError(
            f"{module.file('config.json')} sets 'out_features' to {width}, but the task rerank reads one score per "
            "pair",
            hint=RAW_HINT,
        )


def _check_labels(config: Mapping[str, Any]) -> None:
    labels = read_labels(config)
    if len(labels) == 1:
        return
    # An encoder's config has the default of two labels, and nothing that computes them.
    architecture = stated_architecture(config)
    if architecture and not architecture.endswith("ForSequenceClassification"):
        raise ConfigError(
            f"the task rerank needs a model that scores pairs, but config.json names {architecture}",
            hint="use the task embed for the vectors of texts",
        )
    raise ConfigError(
        f"the task rerank needs a model with one score per pair, but this one has {counted(len(labels), 'label')}",
        hint="use the task classify, which takes pairs of texts too",
    )


def _default_prompt(settings: Mapping[str, Any]) -> str | None:
    default, prompts = settings.get("default_prompt_name"), settings.get("prompts", {})
    if default is None:
        return None
    if default not in prompts:
        raise ConfigError(
            f"{SETTINGS_FILE} states the default_prompt_name {default!r}, but has the prompts {sorted(prompts)}",
            hint="add the prompt, or remove the default",
        )
    return str(prompts[default])


def _activation(settings: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    inner = config.get("sentence_transformers")
    stated = (
        settings.get("activation_fn")
        or (inner.get("activation_fn") if isinstance(inner, dict) else None)
        or config.get("sbert_ce_default_activation_function")
    )
    # sentence-transformers does not import classes of other libraries either, and falls back to its default.
    if not isinstance(stated, str) or not stated.startswith("torch."):
        return "sigmoid"
    activation = activation_of_class(stated)
    if activation is None:
        raise ConfigError(
            f"the model's scores go through {stated}, which the task rerank does not compute",
            hint="pack it with the task raw, and compute it yourself",
        )
    return activation
