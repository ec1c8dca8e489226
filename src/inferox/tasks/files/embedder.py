"""The steps from token vectors to a text's vector that sentence-transformers' files state: pooling, layers, prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inferox.core import ConfigError, PackageError
from inferox.sources.model_directory import stated_architecture
from inferox.sources.sentence_modules import (
    MODULES_FILE,
    SETTINGS_FILE,
    SentenceModule,
    read_modules,
    unsupported_module,
)
from inferox.tasks.files.layers import SENTENCE_EMBEDDING, describe_layer, describe_pooling
from inferox.tasks.files.sentence_settings import (
    TRANSFORMER_FILES,
    check_transformer_settings,
    read_model_settings,
    refuse_chat_template,
)
from inferox.tasks.vector_settings import read_matryoshka_dims

_MATRYOSHKA_FIELD = "matryoshka_dimensions"
"""The key of ``config.json`` with the lengths that vectors may be cut to, as models on hubs state it."""

_USUAL_PROMPTS = frozenset({"query", "document"})
"""The prompts that sentence-transformers gives to every model."""


@dataclass
class ModuleFiles:
    """The layers after a model's transformer, as its files state them.

    Attributes:
        options: The options of the task, except those about its texts, as JSON values.
        files: The files with the weights of the layers after pooling, relative to the model's folder.
    """

    options: dict[str, Any] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)


def read_embed_files(directory: Path, config: Mapping[str, Any]) -> ModuleFiles:
    """Reads how a model's token vectors are turned into a text's vector.

    Args:
        directory: The folder of the model. Without ``modules.json``, pooling follows sentence-transformers' default:
            the last token for a ``...ForCausalLM``, the mean of all tokens for any other.
        config: Its ``config.json``.

    Raises:
        ConfigError: If the model has a layer or a setting that this task does not support.
        PackageError: If a file is missing, cannot be read, or a field is of the wrong type.
        UnsafePathError: If a layer lies outside the model's folder.
    """
    modules = read_modules(directory)
    settings = read_model_settings(directory)
    if not modules:
        _check_without_modules(directory)
        return ModuleFiles({**_options([_default_pooling(config)], {}), **_read_dims(config)})
    if settings.get("model_type", "SentenceTransformer") != "SentenceTransformer":
        raise ConfigError(
            f"{SETTINGS_FILE} states the model_type {settings['model_type']}, which gives no vectors",
            hint="use the task rerank",
        )
    check_transformer_settings(
        directory, task="feature-extraction", method_output="last_hidden_state", module_output="token_embeddings"
    )
    found = read_chain(directory, modules, output=SENTENCE_EMBEDDING)
    found.options = {**_options(found.options["pooling"], settings), **found.options, **_read_dims(config)}
    return found


def read_chain(directory: Path, modules: Sequence[SentenceModule], *, output: str) -> ModuleFiles:
    """Reads a transformer, the pooling of its token vectors, and the layers after it.

    Args:
        directory: The folder of the model.
        modules: Its modules.
        output: sentence-transformers' name for the output of the last layer: ``sentence_embedding`` or ``scores``.

    Returns:
        The options ``pooling``, ``include_prompt`` and ``modules``, and the files of the modules.

    Raises:
        ConfigError: If a module is of an unsupported kind or out of order.
        PackageError: If a file is missing, cannot be read, or a field is of the wrong type.
    """
    computed = [(index, module) for index, module in enumerate(modules) if module.kind != "Dropout"]
    for index, module in computed:
        if module.kind not in {"Transformer", "Pooling", "Dense", "LayerNorm", "Normalize"}:
            raise unsupported_module(module, index)
    kinds = [module.kind for _, module in computed]
    if kinds[:2] != ["Transformer", "Pooling"] or {"Transformer", "Pooling"} & set(kinds[2:]):
        raise ConfigError(
            f"{MODULES_FILE} lists {', '.join(kinds)}; it must list one Transformer, one Pooling, and then any of "
            "Dense, LayerNorm and Normalize",
            hint="pack it with --task raw, and compute the rest yourself",
        )
    found = ModuleFiles({**describe_pooling(directory, computed[1][1]), "modules": []})
    last = len(computed) - 1
    for position, (_, module) in enumerate(computed[2:], start=2):
        wanted = output if position == last else SENTENCE_EMBEDDING
        layer, files = describe_layer(directory, module, output=wanted)
        found.options["modules"].append(layer)
        found.files.extend(files)
    return found


def _options(pooling: list[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    prompts, default = settings.get("prompts", {}), settings.get("default_prompt_name")
    if default is not None and default not in {*prompts, *_USUAL_PROMPTS}:
        raise ConfigError(
            f"{SETTINGS_FILE} states the default_prompt_name {default!r}, but has the prompts {sorted(prompts)}",
            hint="add the prompt, or remove the default",
        )
    similarity = settings.get("similarity_fn_name")
    return {
        "pooling": pooling,
        "include_prompt": True,
        "modules": [],
        "prompts": prompts,
        "default_prompt": default,
        "truncate_dim": settings.get("truncate_dim"),
        # The cosine is the default and is not stored, so that the options equal those of earlier packages.
        **({} if similarity in {None, "cosine"} else {"similarity": similarity}),
    }


def _read_dims(config: Mapping[str, Any]) -> dict[str, Any]:
    dims = read_matryoshka_dims(config.get(_MATRYOSHKA_FIELD), _MATRYOSHKA_FIELD)
    return {"matryoshka_dims": list(dims)} if dims else {}


def _default_pooling(config: Mapping[str, Any]) -> str:
    is_causal = stated_architecture(config).endswith("ForCausalLM")
    return "last" if is_causal and config.get("is_causal", True) else "mean"


def _check_without_modules(directory: Path) -> None:
    """Refuses a model that seems incomplete, and one whose texts would go through a chat template.

    sentence-transformers would ignore the files that only ``modules.json`` refers to.
    """
    pooling = [path.relative_to(directory).as_posix() for path in directory.glob("[0-9]*_*/config.json")]
    present = [name for name in (SETTINGS_FILE, *TRANSFORMER_FILES, *pooling) if (directory / name).is_file()]
    if present:
        raise PackageError(
            f"{present[0]} is in {directory.name}, but {MODULES_FILE}, which says what it is for, is missing",
            hint="fetch the whole model",
        )
    refuse_chat_template(directory)
