"""Detection of a model's task from its own files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inferox.core import ConfigError, Signature
from inferox.sources.file_names import VOCABULARIES
from inferox.sources.model_directory import stated_architecture
from inferox.sources.sentence_modules import MODULES_FILE, read_modules
from inferox.sources.tokenizer_names import TOKENIZER_CONFIG_FILE
from inferox.tasks.files.embedder import read_embed_files
from inferox.tasks.files.images import image_settings_file, read_image_options
from inferox.tasks.files.reranker import read_rerank_files
from inferox.tasks.files.sentence_settings import read_model_settings
from inferox.tasks.files.texts import read_text_options, text_files
from inferox.tasks.labels import read_label_options, read_labels
from inferox.tasks.registry import TASK_NAMES, unknown_task
from inferox.tasks.tokenizer import TOKENIZER_FILE

_TASK_BY_ENDING = {"ForTokenClassification": "token-classify", "ForImageClassification": "image-classify"}

_VECTORS = frozenset({"last_hidden_state", "token_embeddings"})
"""The names that transformers and sentence-transformers give to token vectors."""

_OLD_MARK = "sbert_ce_default_activation_function"
"""The key that sentence-transformers before version 4 wrote into the configs of its cross-encoders."""


@dataclass(frozen=True)
class TaskChoice:
    """A task with its settings.

    Attributes:
        name: One of ``TASK_NAMES``.
        options: The options for ``open_task``, as JSON values.
        files: The files that a package must include for it, relative to the model's folder.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()


def choose_task(
    directory: Path | None, config: Mapping[str, Any], signature: Signature | None, *, task: str | None = None
) -> TaskChoice:
    """Chooses a task and reads its settings from the model's files.

    Args:
        directory: The folder of the model; ``None`` if it is a single file.
        config: Its ``config.json``; empty if there is none.
        signature: Its signature; ``None`` if that is not known yet.
        task: The task; ``None`` to detect it from the files.

    Raises:
        ConfigError: If there is no such task, or the model's files do not fit it.
        PackageError: If a file cannot be read.
    """
    name = detect_task(directory, config, signature) if task is None else task
    if name not in TASK_NAMES:
        raise unknown_task(name)
    if name == "raw":
        return _describe_raw(config)
    if directory is None:
        raise ConfigError(
            f"the task {name} needs files beside the model, such as {TOKENIZER_FILE}, and this model is a single file",
            hint="use the task raw",
        )
    return _DESCRIBE[name](directory, config)


def detect_task(directory: Path | None, config: Mapping[str, Any], signature: Signature | None) -> str:
    """Detects the task of a model.

    sentence-transformers' files take precedence, then the architecture that the config names. A text encoder without a
    head is for ``embed``; anything unrecognised is ``raw``.

    Args:
        directory: The folder of the model; ``None`` if it is a single file.
        config: Its ``config.json``; empty if there is none.
        signature: Its signature; ``None`` if that is not known yet.

    Returns:
        One of ``TASK_NAMES``.

    Raises:
        ConfigError: If sentence-transformers stored a model of another kind, such as a sparse encoder.
        PackageError: If a file cannot be read.
    """
    if directory is None:
        return "raw"
    kind = _sentence_transformers_kind(directory)
    if kind == "SentenceTransformer":
        return "embed"
    if kind == "CrossEncoder" and _has_layers(directory):
        return "rerank"
    architecture = stated_architecture(config)
    if architecture.endswith("ForSequenceClassification"):
        return "rerank" if _is_reranker(kind, config) else "classify"
    for ending, name in _TASK_BY_ENDING.items():
        if architecture.endswith(ending):
            return name
    has_vectors = signature is None or any(spec.name in _VECTORS for spec in signature.outputs)
    if _has_tokenizer(directory) and has_vectors and config.get("model_type"):
        return "embed"
    return "raw"


def _sentence_transformers_kind(directory: Path) -> str | None:
    """Returns the kind of model that sentence-transformers stored, such as ``CrossEncoder``; ``None`` if it did not."""
    kind = read_model_settings(directory).get("model_type")
    if kind == "CrossEncoder":
        return "CrossEncoder"
    return "SentenceTransformer" if (directory / MODULES_FILE).is_file() else None


def _has_layers(directory: Path) -> bool:
    """Returns whether a cross-encoder's scores come from modules after its transformer, rather than from its head."""
    return any(module.kind not in {"Transformer", "Dropout"} for module in read_modules(directory))


def _is_reranker(kind: str | None, config: Mapping[str, Any]) -> bool:
    """Returns whether a sequence classifier scores pairs.

    sentence-transformers marks its cross-encoders. Other rerankers are classifiers with one label and no problem type:
    a model that predicts a quantity states ``regression``, which transformers writes when it trains one.
    """
    if len(read_labels(config)) != 1:
        return False
    marked = kind == "CrossEncoder" or "sentence_transformers" in config or _OLD_MARK in config
    return marked or config.get("problem_type") is None


def _has_tokenizer(directory: Path) -> bool:
    return any((directory / name).is_file() for name in (TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, *VOCABULARIES))


def _describe_raw(config: Mapping[str, Any]) -> TaskChoice:
    size = config.get("vocab_size")
    return TaskChoice("raw", {"vocab_size": size} if isinstance(size, int) else {})


def _describe_embed(directory: Path, config: Mapping[str, Any]) -> TaskChoice:
    found = read_embed_files(directory, config)
    options = {**read_text_options(directory, config), **found.options}
    return TaskChoice("embed", options, (*text_files(directory), *found.files))


def _describe_classify(directory: Path, config: Mapping[str, Any]) -> TaskChoice:
    options = {**read_text_options(directory, config), **read_label_options(config)}
    return TaskChoice("classify", options, text_files(directory))


def _describe_token_classify(directory: Path, config: Mapping[str, Any]) -> TaskChoice:
    options = {**read_text_options(directory, config), "labels": read_labels(config)}
    return TaskChoice("token-classify", options, text_files(directory))


def _describe_rerank(directory: Path, config: Mapping[str, Any]) -> TaskChoice:
    found = read_rerank_files(directory, config)
    options = {**read_text_options(directory, config), **found.options}
    return TaskChoice("rerank", options, (*text_files(directory), *found.files))


def _describe_image_classify(directory: Path, config: Mapping[str, Any]) -> TaskChoice:
    options = {**read_label_options(config), "image": read_image_options(directory, config)}
    return TaskChoice("image-classify", options, (image_settings_file(directory),))


_DESCRIBE: dict[str, Callable[[Path, Mapping[str, Any]], TaskChoice]] = {
    "embed": _describe_embed,
    "classify": _describe_classify,
    "token-classify": _describe_token_classify,
    "rerank": _describe_rerank,
    "image-classify": _describe_image_classify,
}
