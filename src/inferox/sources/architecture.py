"""The choice of the transformers class as which a checkpoint is loaded, and the inputs of that class."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import transformers
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES,
    MODEL_MAPPING_NAMES,
)

from inferox.backends.torch.config_class import read_config
from inferox.core import ConfigError, LoadError, ManifestError, PackageError
from inferox.sources.purpose import describe_input, describe_purpose, is_two_tower

_HEAD_BY_TASK = {
    "classify": "ForSequenceClassification",
    "rerank": "ForSequenceClassification",
    "token-classify": "ForTokenClassification",
    "image-classify": "ForImageClassification",
}
"""The kind of class that each task needs; the other tasks need no head."""

_HEADS = tuple(dict.fromkeys(_HEAD_BY_TASK.values()))

_PRETRAINING = ("ForMaskedLM", "ForPreTraining", "ForCausalLM", "LMHeadModel", "ForMaskedImageModeling")
"""Heads for pretraining, which sentence-transformers leaves out as well."""

_BARE = re.compile(r"(?!.*(For[A-Z]|With[A-Z]|LMHead|Heads)).*(Model|Encoder|Backbone)")
"""The pattern of transformers' names for encoder classes without a head."""

_FROM_PYTHON = "write a function that returns the module, and pack that: python:module:factory"

_SUPPORTED = (
    "supported: text encoders (embed), classifiers of texts, pairs and tokens (classify, rerank, token-classify), "
    "image classifiers (image-classify), and the bare outputs of either (raw)"
)


NO_PADDING = -1
"""The padding token for a model without one. No row can contain it, so the last token is the last of the row."""


@dataclass(frozen=True)
class Architecture:
    """The transformers class as which a checkpoint is loaded.

    Attributes:
        name: The class, such as ``BertModel``.
        notes: The parts of the stated architecture that the class leaves out, as sentences.
    """

    name: str
    notes: tuple[str, ...] = ()


def choose_architecture(config: Mapping[str, Any], task: str | None, *, pools: bool = False) -> Architecture:
    """Chooses the transformers class as which a checkpoint is loaded.

    It is the class that the config states, if that has a head that a task reads; otherwise the encoder without its
    pretraining head, which the notes mention. The task ``embed`` takes the bare encoder, and ``raw`` the stated class,
    whatever it is.

    Args:
        config: The model's ``config.json``.
        task: The task to load it for; ``None`` if the checkpoint decides.
        pools: Whether the checkpoint states in ``modules.json`` that its token vectors are pooled, whatever its head.

    Raises:
        ManifestError: If the config states no model type, or one that transformers does not know.
        PackageError: If the checkpoint needs its own code, or is of a kind that cannot be packed.
        ConfigError: If the task needs a head that the checkpoint lacks, or if the checkpoint's head is its purpose and
            no task reads it.
    """
    bare = _bare_class(config)
    stated = _stated(config)
    if task in _HEAD_BY_TASK and not (task == "rerank" and pools):
        return Architecture(_without_decoder(_with_head(stated or bare, task), config))
    if task == "raw":
        return Architecture(stated or _require_encoder(config, bare))
    if task is None and not pools:
        if stated.endswith(_HEADS):
            return Architecture(_without_decoder(stated, config))
        _check_purpose(stated, bare, config)
    chosen = stated if _is_bare(stated, config) else _require_encoder(config, bare)
    return Architecture(chosen, _notes(stated, chosen, asked=task == "embed" or pools))


def architecture_family(config: Mapping[str, Any], architecture: str) -> str:
    """Returns the family of a checkpoint: ``EncoderOnly``, ``DecoderOnly`` or ``Vision``."""
    if takes_images(architecture):
        return "Vision"
    model_type = config["model_type"]
    decodes = model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return "DecoderOnly" if decodes else "EncoderOnly"


def takes_images(architecture: str) -> bool:
    """Returns whether a class reads images rather than texts.

    Raises:
        PackageError: If it reads neither, or both at once.
    """
    name = getattr(transformers, architecture).main_input_name
    readable = isinstance(name, str) and name in {"input_ids", "pixel_values"}
    if readable and not is_two_tower(architecture):
        return bool(name == "pixel_values")
    purpose = describe_purpose(architecture)
    reads = name if isinstance(name, str) else " and ".join(name)
    does = purpose or f"reads {describe_input(reads)}"
    raise PackageError(f"a {architecture} {does}, which is not supported; {_SUPPORTED}", hint=_FROM_PYTHON)


def text_inputs(config: Mapping[str, Any], architecture: str, *, gives_types: bool) -> tuple[str, ...]:
    """Returns the inputs of a class that reads texts.

    Token types are an input if the model distinguishes several. A class without a table for them, such as GPT-2, which
    looks them up in the vocabulary, gets them only if its tokenizer makes them, as zeros would not mean "none" there. A
    classifier that finds the last token of a row by its padding, but states no padding token, has no mask: its rows are
    never padded.

    Args:
        config: The model's ``config.json``.
        architecture: The class.
        gives_types: Whether the model's tokenizer makes token types.

    Raises:
        ManifestError: If the config is not valid.
    """
    takes = inspect.signature(getattr(transformers, architecture).forward).parameters
    settings = _complete(config)
    names = [name for name in ("input_ids", "attention_mask") if name in takes]
    if getattr(settings, "pad_token_id", None) == NO_PADDING and "attention_mask" in names:
        names.remove("attention_mask")
    kinds = getattr(settings, "type_vocab_size", None)
    if "token_type_ids" in takes and (gives_types if kinds is None else kinds > 1):
        names.append("token_type_ids")
    return tuple(names)


def check_config(config: Mapping[str, Any]) -> None:
    """Checks that the class of the model type accepts a config, and terminates.

    Raises:
        ManifestError: If the config is not valid.
        LoadError: If it requires more work than any real model's.
    """
    _complete(config)


def lacks_padding(config: Mapping[str, Any], architecture: str) -> bool:
    """Returns whether a class finds the last token of a row by its padding, while the config states no padding token.

    transformers then computes one row at a time and takes its last token.

    Raises:
        ManifestError: If the config is not valid.
    """
    classifies = architecture.endswith("ForSequenceClassification")
    decodes = architecture_family(config, architecture) == "DecoderOnly"
    return classifies and decodes and getattr(_complete(config), "pad_token_id", None) is None


def _complete(config: Mapping[str, Any]) -> transformers.PretrainedConfig:
    """Completes a config with the defaults of its model type."""
    try:
        settings = read_config(config)
    except LoadError:
        raise
    except Exception as error:  # transformers validates configs with exceptions of several libraries
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise ManifestError(f"config.json is not valid: {reason}", hint="fetch the model again") from error
    return settings


def _bare_class(config: Mapping[str, Any]) -> str:
    """Returns the class of the model type without any head.

    If a type has several, the first is the complete one. For a model with an encoder and a decoder, it is the encoder,
    if transformers has a class for that.
    """
    model_type = config.get("model_type")
    if "auto_map" in config:
        raise PackageError(
            "the config requires code that comes with the model (auto_map), but a checkpoint's code is never run",
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
    if _is_encoder_decoder(config):
        named = MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES.get(model_type, named)
    return str(named if isinstance(named, str) else named[0])


def _is_encoder_decoder(config: Mapping[str, Any]) -> bool:
    usual = getattr(transformers.CONFIG_MAPPING[config["model_type"]], "is_encoder_decoder", False)
    return config.get("is_encoder_decoder", usual) is True


def _require_encoder(config: Mapping[str, Any], bare: str) -> str:
    """Refuses a model with a decoder, unless the class is its encoder's."""
    if _is_encoder_decoder(config) and not bare.endswith("EncoderModel"):
        stated = _stated(config) or bare
        purpose = describe_purpose(stated) or "computes with an encoder and a decoder"
        raise PackageError(
            f"a {config['model_type']} model ({stated}) {purpose}; no part of it is packed, since transformers has no "
            "class for its encoder alone",
            hint=_FROM_PYTHON,
        )
    return bare


def _without_decoder(architecture: str, config: Mapping[str, Any]) -> str:
    """Refuses a classifier that reads the end of a decoder's text, whose rows cannot share a batch."""
    if architecture.endswith("ForSequenceClassification") and _is_encoder_decoder(config):
        raise PackageError(
            f"a {architecture} classifies by the end-of-text token of a decoder, of which all rows of a batch must "
            f"have equally many, and pairs have more than texts: that is not supported; {_SUPPORTED}",
            hint=_FROM_PYTHON,
        )
    return architecture


def _stated(config: Mapping[str, Any]) -> str:
    names = config.get("architectures") or [""]
    if not isinstance(names, list) or not isinstance(names[0], str):
        raise ManifestError(f"architectures in config.json must be a list of names, but is {names!r}")
    stated = names[0]
    found = getattr(transformers, stated, None) if stated.isidentifier() else None
    if stated and not (isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)):
        raise ManifestError(
            f"config.json names the architecture {stated!r}, which transformers {transformers.__version__} lacks",
            hint=f"upgrade transformers; or {_FROM_PYTHON}",
        )
    return stated


def _is_bare(stated: str, config: Mapping[str, Any]) -> bool:
    # A complete model with a decoder has no head either, but cannot compute from texts alone.
    if _is_encoder_decoder(config):
        return stated.endswith("EncoderModel")
    known = {name for names in MODEL_MAPPING_NAMES.values() for name in ([names] if isinstance(names, str) else names)}
    return stated in known or _BARE.fullmatch(stated) is not None


def _check_purpose(stated: str, bare: str, config: Mapping[str, Any]) -> None:
    """Refuses a model whose purpose is its head, if no task reads that head."""
    whole = _is_encoder_decoder(config)
    if not stated or _is_bare(stated, config) or (stated.endswith(_PRETRAINING) and not whole):
        return
    reads_images = takes_images(stated)
    purpose = describe_purpose(stated) or ("computes with an encoder and a decoder" if whole else "has a head")
    choices = ["--task raw packs its outputs as they are"]
    if not reads_images and (not whole or bare.endswith("EncoderModel")):
        choices.insert(0, f"--task embed packs the vectors of its encoder ({bare}) without the head")
    raise ConfigError(
        f"a {stated} {purpose}, but no task reads that; {_SUPPORTED}",
        hint=_FROM_PYTHON if whole and not reads_images and len(choices) == 1 else "; ".join(choices),
    )


def _notes(stated: str, chosen: str, *, asked: bool) -> tuple[str, ...]:
    if not stated or stated == chosen:
        return ()
    purpose = describe_purpose(stated)
    head = f"{stated}, which {purpose}" if purpose else stated
    note = f"the config states a {head}; it is packed as a {chosen}, without that head"
    return (note if asked else f"{note}: --task raw keeps it",)


def _with_head(stated: str, task: str) -> str:
    head = _HEAD_BY_TASK[task]
    if not stated.endswith(head):
        raise ConfigError(
            f"the task {task} needs a classifier (a class that ends in {head}), but this checkpoint is a {stated}",
            hint="use a checkpoint that was trained for the task, or the task that this one is for",
        )
    return stated
