"""The strict construction of a module from a config and weights: every weight is used, and none is missing."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from threading import Lock
from typing import Any

import torch
import transformers
from transformers import CONFIG_MAPPING, PretrainedConfig, PreTrainedModel
from transformers.initialization import no_init_weights
from transformers.utils import logging as hf_logging

from inferox.backends.torch.config_class import read_config, steps_counted
from inferox.backends.torch.config_numbers import LargeNumbers
from inferox.backends.torch.construction import bounded, offline
from inferox.backends.torch.errors import listed, translated
from inferox.core import LoadError, counted

_HEADS = frozenset(
    {
        "classifier",
        "cls",
        "decoder",
        "discriminator_predictions",
        "generator_lm_head",
        "generator_predictions",
        "head",
        "lm_head",
        "lm_predictions",
        "mask_predictions",
        "mlm_head",
        "pooler",
        "pre_classifier",
        "predictions",
        "qa_outputs",
        "score",
        "sop_classifier",
        "vocab_layer_norm",
        "vocab_projector",
        "vocab_transform",
    }
)
"""The names of pretraining heads, task heads and poolers in transformers' encoders."""

_TABLES = re.compile(r"(^|\.)(position_ids|token_type_ids|inv_freq)$")
"""Tables in old checkpoints that an architecture computes itself."""

_NOT_THE_MODELS = re.compile(
    r"_implementation(_internal)?$|^(return_dict|use_return_dict|output_attentions|output_hidden_states)$"
)
"""Settings of how to compute and of what to return, rather than of the model itself.

One may name a kernel that is fetched from the hub and run; another removes the names of outputs.
"""

_ENTRIES_PER_WEIGHT = 16
"""The cost of making a weight's module, in entries of a config."""

_alone = Lock()
"""Held while a module is made: transformers changes PyTorch globally, and Inferox changes transformers' logging."""


@dataclass(frozen=True)
class Instantiated:
    """A module with its weights in place.

    Attributes:
        module: The module, in evaluation mode, on the CPU.
        left_out: Weights of parts that the architecture lacks on purpose.
    """

    module: torch.nn.Module
    left_out: tuple[str, ...]


def instantiate(config: Mapping[str, Any], weights: Mapping[str, torch.Tensor], architecture: str) -> Instantiated:
    """Makes a module of one of transformers' architectures.

    Old names (``LayerNorm.gamma``) and an optional prefix (``bert.``) are understood. Two kinds of weights may be left
    over, and are reported: those of a head or pooler that the architecture lacks as a whole, and tables that it
    computes itself. Any other difference is an error.

    Args:
        config: The model's ``config.json``.
        weights: The weights by name. The module takes over the memory of those in ``float32``; those of another
            floating-point type are converted to it, which is exact for half precision.
        architecture: The name of a class of transformers, such as ``BertModel``.

    Raises:
        LoadError: If the config or the architecture is unknown, if it needs code that comes with the model, or if a
            weight is missing, left over, or of another shape.
    """
    model_class = _find_class(architecture)
    settings = _read_config(config, model_class)
    arguments: dict[str, Any] = {"add_pooling_layer": _has_pooler(weights)} if _takes_pooler(model_class) else {}
    elements = sum(tensor.numel() for tensor in weights.values())
    making = translated(f"making a {architecture} from its config", default=LoadError)
    with _alone, _silent(), making, offline(), bounded(len(weights), elements):
        _try_smaller(config, model_class, arguments, weights=len(weights))
        # With output_loading_info, which the type hints ignore, the report is returned too.
        loaded: Any = model_class.from_pretrained(
            None,
            config=settings,
            state_dict=dict(weights),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            dtype=torch.float32,
            **arguments,
        )
    module, report = loaded
    _check_shapes(report["mismatched_keys"], architecture)
    _check_missing(report["missing_keys"], architecture)
    left_over = {*report["unexpected_keys"], *_passed_by(weights, module)}
    return Instantiated(module.eval(), _check_left_over(left_over, module, architecture))


def _find_class(architecture: str) -> type[PreTrainedModel]:
    found: type[PreTrainedModel] = (
        getattr(transformers, architecture, object) if architecture.isidentifier() else object
    )
    # The base classes are exported too, and compute nothing.
    is_model = isinstance(found, type) and issubclass(found, PreTrainedModel)
    if not is_model or found.forward is torch.nn.Module.forward:
        raise LoadError(
            f"transformers {transformers.__version__} has no architecture {architecture!r}",
            hint="upgrade transformers; or pack the model from Python (python:module:factory)",
        )
    return found


def _read_config(config: Mapping[str, Any], model_class: type[PreTrainedModel]) -> PretrainedConfig:
    if "auto_map" in config:
        raise LoadError(
            "the config asks for code that comes with the model (auto_map), which is never loaded from a checkpoint",
            hint="pack the model from Python: python:module:factory, with a function that returns the module",
        )
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING:
        raise LoadError(
            f"transformers {transformers.__version__} does not know the model type {model_type!r}",
            hint="upgrade transformers; or pack the model from Python (python:module:factory)",
        )
    if config.get("quantization_config") is not None:
        raise LoadError("the weights are quantised by another library", hint="use the model before it was quantised")
    with translated(f"reading the config of this {model_type} model", default=LoadError):
        settings = read_config(_settings_of_the_model(config))
    # Related classes accept each other's configs and weights without an error, and compute something else with them.
    if model_class.config_class is None or not isinstance(settings, model_class.config_class):
        raise LoadError(
            f"a {model_class.__name__} is not a {model_type} model, which is what the config describes",
            hint="the architecture and the config are not of the same model",
        )
    return settings


def _settings_of_the_model(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {name: item for name, item in value.items() if not _NOT_THE_MODELS.search(str(name))}
        return {name: _settings_of_the_model(item) for name, item in kept.items()}
    return value


def _try_smaller(
    config: Mapping[str, Any], model_class: type[PreTrainedModel], arguments: Mapping[str, Any], *, weights: int
) -> None:
    """Makes the model without memory, and with smaller numbers in place of large ones, to see that it terminates.

    Modules are counted as they are made, but work before the first one, such as a list of one rate per layer, is not.
    """
    numbers = LargeNumbers(config)
    if not numbers:
        return
    smaller = read_config(_settings_of_the_model(numbers.made_smaller()))
    try:
        with torch.device("meta"), no_init_weights(), steps_counted(_ENTRIES_PER_WEIGHT * weights, numbers):
            model_class(smaller, **arguments)
    except LoadError as error:
        known = str(numbers) in error.message
        message = error.message if known else f"{error.message}; its largest numbers are {numbers}"
        raise LoadError(message, hint=error.hint) from error


def _takes_pooler(model_class: type[PreTrainedModel]) -> bool:
    return "add_pooling_layer" in signature(model_class.__init__).parameters


def _has_pooler(weights: Iterable[str]) -> bool:
    return any(re.search(r"(^|\.)pooler\.", name) for name in weights)


def _check_shapes(mismatched: Iterable[tuple[str, Sequence[int], Sequence[int]]], architecture: str) -> None:
    faults = [f"{name} is {list(found)} and must be {list(needed)}" for name, found, needed in sorted(mismatched)]
    if faults:
        raise LoadError(
            f"{architecture} needs another shape of {counted(len(faults), 'weight')}: {listed(faults)}",
            hint="the config and the weights are not of the same model",
        )


def _check_missing(missing: Iterable[str], architecture: str) -> None:
    names = sorted(missing)
    if names:
        raise LoadError(
            f"{architecture} lacks {counted(len(names), 'weight')} that it needs: {listed(names)}",
            hint="nothing is filled in at random: fetch the whole model, or choose a task that it was trained for",
        )


def _check_left_over(unexpected: Iterable[str], module: PreTrainedModel, architecture: str) -> tuple[str, ...]:
    names = sorted(unexpected)
    ignored = set(_passed_by(names, module))
    unknown = [
        name for name in names if name not in ignored and not _TABLES.search(name) and not _is_absent_head(name, module)
    ]
    if unknown:
        raise LoadError(
            f"{architecture} has no place for {counted(len(unknown), 'weight')}: {listed(unknown)}",
            hint="the config and the weights are not of the same model",
        )
    return tuple(names)


def _passed_by(names: Iterable[str], module: PreTrainedModel) -> list[str]:
    """Lists weights of parts that the class lacks on purpose according to transformers, which skips them."""
    patterns = module._keys_to_ignore_on_load_unexpected or ()  # noqa: SLF001 - transformers has no other way to ask
    own = module.state_dict().keys()
    prefix = f"{module.base_model_prefix}."
    return [
        name
        for name in names
        if any(re.search(pattern, name) for pattern in patterns)
        and not {name, name.removeprefix(prefix), prefix + name} & own
    ]


def _is_absent_head(name: str, module: PreTrainedModel) -> bool:
    """Returns whether a weight belongs to a head that the module lacks entirely, not to a part of one it has."""
    parts = name.split(".")
    base = getattr(module, module.base_model_prefix, None)
    if parts[0] == module.base_model_prefix and len(parts) > 1:
        # An encoder without a pooler has None there.
        return parts[1] in _HEADS and getattr(base or module, parts[1], None) is None
    return parts[0] in _HEADS and getattr(module, parts[0], None) is None


@contextmanager
def _silent() -> Iterator[None]:
    """Silences transformers' progress bars and reports, whose content is returned or raised."""
    verbosity, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity(logging.CRITICAL)
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(verbosity)
        if bars:
            hf_logging.enable_progress_bar()
