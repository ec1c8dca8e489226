"""Which of transformers' classes a checkpoint is to be loaded as, and what that class takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import transformers
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_MAPPING_NAMES,
)

from inferox.core import ConfigError, ManifestError, PackageError

_HEAD_BY_TASK = {
    "classify": "ForSequenceClassification",
    "rerank": "ForSequenceClassification",
    "token-classify": "ForTokenClassification",
    "image-classify": "ForImageClassification",
}
"""The class that each task needs; the other tasks do without a head."""

_HEADS = tuple(dict.fromkeys(_HEAD_BY_TASK.values()))

_FROM_PYTHON = "write a function that returns the module, and pack that: python:module:factory"


def choose_architecture(config: Mapping[str, Any], task: str | None) -> str:
    """Chooses the class of transformers that a checkpoint is loaded as.

    That is the class that the config states, where it has a head that a task reads; otherwise the encoder without its
    pretraining head. The task ``embed`` takes the bare encoder, ``raw`` the stated class whatever it is.

    Args:
        config: The model's ``config.json``.
        task: What the numbers are to mean; ``None`` where the checkpoint decides.

    Raises:
        ManifestError: If the config states no model type, or one that transformers does not know.
        PackageError: If the checkpoint brings its own code, or is of a kind that cannot be packed.
        ConfigError: If the task needs a head that the checkpoint lacks.
    """
    bare = _bare_encoder(config)
    stated = _stated(config)
    if task in _HEAD_BY_TASK:
        return _with_head(stated or bare, task)
    if task == "raw" or (task is None and stated.endswith(_HEADS)):
        return stated or bare
    return bare


def architecture_family(config: Mapping[str, Any], architecture: str) -> str:
    """What a checkpoint is by its construction: ``EncoderOnly``, ``DecoderOnly`` or ``Vision``."""
    if takes_images(architecture):
        return "Vision"
    model_type = config["model_type"]
    decodes = model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return "DecoderOnly" if decodes else "EncoderOnly"


def takes_images(architecture: str) -> bool:
    """Whether a class reads images rather than texts.

    Raises:
        PackageError: If it reads neither.
    """
    name = getattr(transformers, architecture).main_input_name
    if name not in {"pixel_values", "input_ids"}:
        raise PackageError(f"a {architecture} reads {name}; texts and images alone are supported", hint=_FROM_PYTHON)
    return bool(name == "pixel_values")


def text_inputs(config: Mapping[str, Any], architecture: str, *, gives_types: bool) -> tuple[str, ...]:
    """The inputs of a class that reads texts.

    Token types are one where the model tells several apart. A class that has no table for them, such as GPT-2, which
    looks them up among the words, is given them only where its tokenizer makes them: zeros would not mean "none" there.

    Args:
        config: The model's ``config.json``.
        architecture: The class.
        gives_types: Whether the model's tokenizer makes token types.

    Raises:
        ManifestError: If the config is not valid.
    """
    takes = inspect.signature(getattr(transformers, architecture).forward).parameters
    names = [name for name in ("input_ids", "attention_mask") if name in takes]
    # Configs leave out what is the default of their model type.
    try:
        types = transformers.CONFIG_MAPPING[config["model_type"]].from_dict(dict(config))
    except Exception as error:  # transformers validates configs with exceptions of several libraries
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise ManifestError(f"config.json is not valid: {reason}", hint="fetch the model again") from error
    kinds = getattr(types, "type_vocab_size", None)
    if "token_type_ids" in takes and (gives_types if kinds is None else kinds > 1):
        names.append("token_type_ids")
    return tuple(names)


def _bare_encoder(config: Mapping[str, Any]) -> str:
    model_type = config.get("model_type")
    if "auto_map" in config:
        raise PackageError(
            "the config asks for code that comes with the model (auto_map), and a checkpoint's code is never run",
            hint=_FROM_PYTHON,
        )
    if not isinstance(model_type, str):
        raise ManifestError("config.json states no model_type, so the architecture is unknown", hint=_FROM_PYTHON)
    named = MODEL_MAPPING_NAMES.get(model_type)
    if named is None or model_type not in transformers.CONFIG_MAPPING:
        raise ManifestError(
            f"transformers {transformers.__version__} does not know the model type {model_type!r}",
            hint=f"upgrade transformers; or {_FROM_PYTHON}",
        )
    if config.get("is_encoder_decoder"):
        raise PackageError(f"a {model_type} model generates with a decoder, which is not supported", hint=_FROM_PYTHON)
    # Where a type has several bare classes, the first is the whole one.
    return str(named if isinstance(named, str) else named[0])


def _stated(config: Mapping[str, Any]) -> str:
    names = config.get("architectures") or [""]
    if not isinstance(names, list) or not isinstance(names[0], str):
        raise ManifestError(f"architectures in config.json must be a list of names, and is {names!r}")
    stated = names[0]
    found = getattr(transformers, stated, None) if stated.isidentifier() else None
    if stated and not (isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)):
        raise ManifestError(
            f"config.json names the architecture {stated!r}, which transformers {transformers.__version__} lacks",
            hint=f"upgrade transformers; or {_FROM_PYTHON}",
        )
    return stated


def _with_head(stated: str, task: str) -> str:
    head = _HEAD_BY_TASK[task]
    if not stated.endswith(head):
        raise ConfigError(
            f"the task {task} needs a classifier (a class that ends in {head}), and this checkpoint is a {stated}",
            hint="use a checkpoint that was trained for the task, or the task that this one is for",
        )
    return stated
