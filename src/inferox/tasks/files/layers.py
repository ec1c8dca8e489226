"""The layers of a sentence-transformers model after its transformer, each read from its own folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from inferox.core import ConfigError, ManifestError, PackageError
from inferox.sources.sentence_modules import RAW_HINT, SentenceModule
from inferox.tasks.activation import activation_of_class
from inferox.tasks.options import member_path, optional, read_json

SENTENCE_EMBEDDING = "sentence_embedding"
"""The name that sentence-transformers gives to a text's vector."""

_POOLING_NAMES = {
    "cls": "cls",
    "max": "max",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean": "weighted_mean",
    "lasttoken": "last",
}
"""Inferox's names of pooling modes by sentence-transformers', in the order in which it concatenates several."""

_POOLING_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weighted_mean",
    "pooling_mode_lasttoken": "last",
}

_WEIGHTS = "model.safetensors"
_TANH = "torch.nn.modules.activation.Tanh"


def describe_pooling(directory: Path, module: SentenceModule) -> dict[str, Any]:
    """Reads how token vectors are pooled.

    Args:
        directory: The folder of the model.
        module: The module of the kind ``Pooling``.

    Returns:
        ``pooling`` and ``include_prompt``.

    Raises:
        ConfigError: If it requests something that is not supported.
        PackageError: If its config is missing or malformed.
    """
    config = _read_config(directory, module)
    dimension = {"embedding_dimension", "word_embedding_dimension"}
    _check_keys(module, config, {*dimension, "pooling_mode", "include_prompt", *_POOLING_FLAGS})
    if not any(isinstance(config.get(key), int) for key in dimension):
        raise ManifestError(f"{module.file('config.json')} lacks the embedding_dimension", hint="fetch the model again")
    for key in ("include_prompt", *_POOLING_FLAGS):
        if not isinstance(config.get(key, False), bool):
            raise ManifestError(f"{module.file('config.json')} must set {key!r} to true or false, not {config[key]!r}")
    return {"pooling": _pooling(module, config), "include_prompt": config.get("include_prompt", True)}


def describe_layer(directory: Path, module: SentenceModule, *, output: str) -> tuple[dict[str, Any], list[str]]:
    """Reads a layer after pooling.

    Args:
        directory: The folder of the model.
        module: The module: ``Dense``, ``LayerNorm`` or ``Normalize``.
        output: The name that sentence-transformers must give to its output.

    Returns:
        The layer as ``open_module`` takes it, and the files with its weights.

    Raises:
        ConfigError: If it requests something that is not supported.
        PackageError: If a file is missing or malformed, or the weights do not match the config.
    """
    return _DESCRIBE[module.kind](directory, module, output)


def _pooling(module: SentenceModule, config: Mapping[str, Any]) -> list[str]:
    stated = config.get("pooling_mode")
    if stated is None:
        return [name for flag, name in _POOLING_FLAGS.items() if config.get(flag)] or ["mean"]
    names = stated if isinstance(stated, list) else [stated]
    unknown = [name for name in names if name not in _POOLING_NAMES]
    if unknown or not names:
        raise ConfigError(
            f"{module.file('config.json')} sets 'pooling_mode' to {stated!r}, which is not one of "
            f"{', '.join(_POOLING_NAMES)}",
            hint=RAW_HINT,
        )
    return [_POOLING_NAMES[name] for name in names]


def _describe_normalize(directory: Path, module: SentenceModule, output: str) -> tuple[dict[str, Any], list[str]]:
    # It has a config only since version 6.
    config = read_json(member_path(directory, module.file("config.json"))) or {}
    _check_keys(module, config, {"module_input_name", "module_output_name"})
    _check_names(module, config, output)
    return {"type": "normalise"}, []


def _describe_layer_norm(directory: Path, module: SentenceModule, output: str) -> tuple[dict[str, Any], list[str]]:
    config = _read_config(directory, module)
    _check_keys(module, config, {"dimension"})
    _check_names(module, {}, output)
    dimension = _required(module, config, "dimension")
    weights = _check_weights(directory, module, {"norm.weight": [dimension], "norm.bias": [dimension]})
    return {"type": "layer_norm", "weights": weights}, [weights]


def _describe_dense(directory: Path, module: SentenceModule, output: str) -> tuple[dict[str, Any], list[str]]:
    config = _read_config(directory, module)
    names = {"module_input_name", "module_output_name"}
    known = {"in_features", "out_features", "bias", "activation_function", "use_residual", *names}
    _check_keys(module, config, known)
    _check_names(module, config, output)
    takes, gives = (_required(module, config, key) for key in ("in_features", "out_features"))
    residual = optional(config, "use_residual", bool) is True
    shapes = {"linear.weight": [gives, takes]}
    if optional(config, "bias", bool) is not False:
        shapes["linear.bias"] = [gives]
    if residual and takes != gives:
        shapes["residual.weight"] = [gives, takes]
    weights = _check_weights(directory, module, shapes)
    layer = {"type": "dense", "weights": weights, "activation": _activation(module, config), "residual": residual}
    return layer, [weights]


_DESCRIBE: dict[str, Callable[[Path, SentenceModule, str], tuple[dict[str, Any], list[str]]]] = {
    "Dense": _describe_dense,
    "LayerNorm": _describe_layer_norm,
    "Normalize": _describe_normalize,
}


def _activation(module: SentenceModule, config: Mapping[str, Any]) -> str:
    stated = config.get("activation_function", _TANH)
    activation = activation_of_class(stated) if isinstance(stated, str) else None
    if activation is None:
        raise ConfigError(
            f"{module.file('config.json')} sets 'activation_function' to {stated!r}, which is not supported",
            hint=RAW_HINT,
        )
    return activation


def _read_config(directory: Path, module: SentenceModule) -> dict[str, Any]:
    config = read_json(member_path(directory, module.file("config.json")))
    if config is None:
        raise PackageError(
            f"{module.file('config.json')}, which says what the module of the type {module.kind} computes, is missing",
            hint="fetch the whole model, with its subfolders",
        )
    return config


def _check_keys(module: SentenceModule, config: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(config.keys() - known)
    if unknown:
        raise ConfigError(
            f"{module.file('config.json')} has the key {unknown[0]!r} ({config[unknown[0]]!r}), which "
            f"sentence-transformers' {module.kind} does not have, so its effect is unknown",
            hint=f"remove it if it has no effect; otherwise {RAW_HINT}",
        )


def _check_names(module: SentenceModule, config: Mapping[str, Any], output: str) -> None:
    """Checks that a layer reads the text's vector, and writes what the next layer reads."""
    reads = config.get("module_input_name") or SENTENCE_EMBEDDING
    writes = config.get("module_output_name") or reads
    for key, found, wanted in (
        ("module_input_name", reads, SENTENCE_EMBEDDING),
        ("module_output_name", writes, output),
    ):
        if found != wanted:
            raise ConfigError(
                f"{module.file('config.json')} sets {key!r} to {found!r}, but only {wanted!r} is supported here",
                hint=RAW_HINT,
            )


def _required(module: SentenceModule, config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ManifestError(
            f"{module.file('config.json')} must set {key!r} to an integer, but sets it to {value!r}",
            hint="fetch the model again",
        )
    return value


def _check_weights(directory: Path, module: SentenceModule, expected: Mapping[str, list[int]]) -> str:
    """Checks the names and shapes of a layer's weights, and returns their file relative to the model's folder."""
    name = module.file(_WEIGHTS)
    path = member_path(directory, name)
    if not path.is_file():
        raise PackageError(f"{name}, with the weights of the {module.kind}, is missing", hint="fetch the whole model")
    try:
        with safe_open(path, framework="numpy") as weights:
            shapes = {key: list(weights.get_slice(key).get_shape()) for key in weights.keys()}  # noqa: SIM118 - no dict
    except (OSError, SafetensorError) as error:
        raise PackageError(f"{name} cannot be read: {error}", hint="fetch the model again") from error
    if shapes != expected:
        raise ManifestError(
            f"{name} must hold {dict(expected)}, as {module.file('config.json')} states, but holds {shapes}",
            hint="fetch the model again",
        )
    return name
