"""The modules of a sentence-transformers model, as ``modules.json`` lists them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from inferox.core import ConfigError, ManifestError, PackageError, UnsafePathError, read_json_file

MODULES_FILE = "modules.json"
"""The list of a sentence-transformers model's modules, in the order in which they compute."""

SETTINGS_FILE = "config_sentence_transformers.json"
"""The file with the settings of the model as a whole, such as its kind and its prompts."""

RAW_HINT = "pack it with --task raw, and compute the rest yourself"
"""The advice for a model with modules that Inferox does not compute."""

_CLASS = re.compile(
    r"sentence_transformers\."
    r"(?:models|(?:base|sentence_transformer|cross_encoder|sparse_encoder|multi_vector_encoder)\.(?:modules|models))\."
    r"(?:(?P<file>\w+)\.)?(?P<name>\w+)"
)
"""The full names that sentence-transformers' modules have had since its first version."""

_KEYS = frozenset({"idx", "name", "path", "type", "kwargs"})

_UNSUPPORTED = {
    "Asym": "which sends queries and documents through different encoders",
    "BoW": "which counts words",
    "CLIPModel": "which reads texts and images with two encoders",
    "CNN": "which is a convolution over the token vectors",
    "LSTM": "which is a recurrent network over the token vectors",
    "LogitScore": "which reads a score from the logits of a language model",
    "MLMTransformer": "which gives a number for each token of the vocabulary",
    "MultiVectorMask": "which gives a vector for each token rather than one for the text",
    "Router": "which sends queries and documents through different encoders",
    "SpladePooling": "which gives a number for each token of the vocabulary",
    "StaticEmbedding": "which averages the rows of a table of token vectors, without a transformer",
    "WeightedLayerPooling": "which mixes the outputs of several layers of the transformer",
    "WordEmbeddings": "which is a table of word vectors without a transformer",
    "WordWeights": "which weights words by a table",
}
"""Descriptions of the modules that Inferox does not compute."""

_ROUTES = (
    "pack each encoder by itself, from a folder with its own modules.json: SentenceTransformer(modules=[...]).save"
)

_INSTEAD = {
    "Asym": _ROUTES,
    "Router": _ROUTES,
    "StaticEmbedding": "it needs no runtime, since a text's vector is the mean of rows of its table: use "
    "sentence-transformers or model2vec, or pack a function that returns it as a module (python:module:factory)",
}
"""The advice for modules that need another than ``RAW_HINT``."""


@dataclass(frozen=True)
class SentenceModule:
    """A module of a sentence-transformers model.

    Attributes:
        kind: The class without its package, such as ``Pooling``.
        folder: The folder with its config and weights, relative to the model's; empty for the model's own.
    """

    kind: str
    folder: str

    def file(self, name: str) -> str:
        """Returns the path of a module's file, relative to the model's folder."""
        return f"{self.folder}/{name}" if self.folder else name


def read_modules(directory: Path) -> list[SentenceModule]:
    """Reads ``modules.json``; empty if there is none.

    Args:
        directory: The folder of the model.

    Raises:
        PackageError: If it is not a list of objects of the form that sentence-transformers writes.
        ConfigError: If a module is not one of sentence-transformers' own.
        UnsafePathError: If a module lies outside the model's folder.
    """
    try:
        entries = read_json_file(directory / MODULES_FILE, error_type=PackageError, hint="fetch the model again")
    except FileNotFoundError:
        return []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise PackageError(f"{MODULES_FILE} must be a list of objects")
    if not entries:
        raise PackageError(f"{MODULES_FILE} lists no modules", hint="fetch the model again")
    _check_names(entries)
    return [_read_module(entry, index) for index, entry in enumerate(entries)]


def pools_tokens(directory: Path) -> bool:
    """Returns whether a folder states that its transformer's token vectors are used, whatever head the transformer has.

    All sentence-transformers models use them, except cross-encoders without pooling.

    Raises:
        PackageError: If a file is not JSON.
    """
    if not (directory / MODULES_FILE).is_file():
        return False
    try:
        settings = read_json_file(directory / SETTINGS_FILE, error_type=PackageError, hint="fetch the model again")
    except FileNotFoundError:
        return True
    if isinstance(settings, dict) and settings.get("model_type") == "CrossEncoder":
        return any(module.kind == "Pooling" for module in read_modules(directory))
    return True


def unsupported_module(module: SentenceModule, index: int) -> ConfigError:
    """Makes the error for a module that Inferox does not compute."""
    does = _UNSUPPORTED.get(module.kind)
    where = f"module {index} in {MODULES_FILE}" + (f" (folder {module.folder!r})" if module.folder else "")
    usual = RAW_HINT if index else "Inferox packs models whose first module is a Transformer"
    return ConfigError(
        f"{where} is of the type {module.kind}" + (f", {does}" if does else "") + "; this is not supported",
        hint=_INSTEAD.get(module.kind, usual),
    )


def _check_names(entries: list[dict[str, Any]]) -> None:
    # sentence-transformers keeps the last of several modules with the same name, which is never intended.
    names = [repr(entry.get("name", index)) for index, entry in enumerate(entries)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ManifestError(f"{MODULES_FILE} gives several modules the name {twice[0]}", hint="fetch the model again")


def _read_module(entry: Mapping[str, Any], index: int) -> SentenceModule:
    where = f"module {index} in {MODULES_FILE}"
    unknown = sorted(entry.keys() - _KEYS)
    if unknown:
        raise ConfigError(f"{where} has the unknown key {unknown[0]!r} ({entry[unknown[0]]!r})", hint=RAW_HINT)
    folder, class_name = entry.get("path"), entry.get("type")
    for key, value in (("path", folder), ("type", class_name)):
        if not isinstance(value, str):
            raise ManifestError(f"{where} needs {key!r} as a string, but has {value!r}", hint="fetch the model again")
    assert isinstance(folder, str) and isinstance(class_name, str)  # noqa: S101, PT018 - told to the type checker
    return SentenceModule(_kind(class_name, where), _check_folder(folder, where))


def _kind(class_name: str, where: str) -> str:
    found = _CLASS.fullmatch(class_name)
    name = found["name"] if found else ""
    if found is None or (found["file"] or name).replace("_", "").lower() != name.lower():
        raise ConfigError(
            f"{where} is of the type {class_name}, which is not one of sentence-transformers' own; another library "
            "computes it",
            hint=RAW_HINT,
        )
    return name


def _check_folder(folder: str, where: str) -> str:
    path = PurePosixPath(folder.replace("\\", "/"))
    if ".." in path.parts or path.is_absolute() or PureWindowsPath(folder).drive:
        raise UnsafePathError(f"{where}: the path {folder!r} leads out of the model's folder")
    return "" if path == PurePosixPath() else str(path)
