"""The conversion of a sentence-transformers model's folder to the one layout that packing reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from inferox.core import ConfigError, IntegrityError, PackageError, read_json_file
from inferox.sources.checkpoint import read_checkpoint
from inferox.sources.file_names import PICKLED_WEIGHTS, SAFE_WEIGHTS
from inferox.sources.sentence_modules import (
    MODULES_FILE,
    SETTINGS_FILE,
    SentenceModule,
    read_modules,
    unsupported_module,
)
from inferox.sources.temporary import make_folder

_MODEL_FILES = (SETTINGS_FILE, "README.md")
"""The files that belong to the model as a whole, wherever its transformer lies."""

_NUMPY_LACKS = ("BF16", "F8")
"""The prefixes of data types that NumPy cannot read from a safetensors file."""


def lay_out(directory: Path, *, task: str | None) -> TemporaryDirectory[str] | None:
    """Makes a folder like a model's, with the transformer at the top and every layer's weights readable by NumPy.

    The transformer may lie in a folder of its own (``0_Transformer``), and layers may be stored in half precision or as
    a pickle. Files that stay unchanged are linked.

    Args:
        directory: The folder of the model. It is not changed.
        task: The task for which the model is packed. For ``raw``, the modules after the transformer are ignored.

    Returns:
        The folder, which is removed with the object; ``None`` if the model's own folder suffices, or is not one of
        sentence-transformers'.

    Raises:
        ConfigError: If the first module is not a transformer.
        PackageError: If a file is malformed, or cannot be linked or converted.
        UnsafePathError: If a module lies outside the model's folder.
    """
    try:
        modules = read_modules(directory)
    except ConfigError:
        if task == "raw":
            return None
        raise
    if not modules:
        return None
    if modules[0].kind != "Transformer":
        if (directory / "config.json").is_file():
            return None
        raise unsupported_module(modules[0], 0)
    unreadable = [module for module in modules[1:] if module.folder and _is_unreadable(directory / module.folder)]
    if not unreadable and not modules[0].folder:
        return None
    return make_folder(
        lambda folder: _fill(folder, directory, modules, unreadable), f"the files of {directory} cannot be linked"
    )


def _is_unreadable(folder: Path) -> bool:
    path = folder / SAFE_WEIGHTS[0]
    if not path.is_file():
        return (folder / PICKLED_WEIGHTS[0]).is_file()
    try:
        with safe_open(path, framework="numpy") as weights:
            return any(weights.get_slice(name).get_dtype().startswith(_NUMPY_LACKS) for name in weights.keys())  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise IntegrityError(
            f"{folder.name}/{path.name} is truncated or damaged: {reason}", hint="fetch the model again"
        ) from error


def _fill(
    target: Path, directory: Path, modules: Sequence[SentenceModule], unreadable: Sequence[SentenceModule]
) -> None:
    """Fills a folder with the files of a model in the layout that packing reads."""
    transformer = directory / modules[0].folder
    if not transformer.is_dir():
        raise PackageError(
            f"{MODULES_FILE} names the folder {modules[0].folder!r} for the transformer, but there is none",
            hint="fetch the whole model, with its subfolders",
        )
    for path in (*transformer.iterdir(), *(directory / name for name in _MODEL_FILES)):
        if path.is_file() and not (target / path.name).exists():
            _link(path, target / path.name)
    for module in modules[1:]:
        if module.folder and (directory / module.folder).is_dir():
            _fill_layer(target / module.folder, directory / module.folder, convert=module in unreadable)
    entries = read_json_file(directory / MODULES_FILE, error_type=PackageError, hint="fetch the model again")
    entries[0]["path"] = ""
    (target / MODULES_FILE).unlink(missing_ok=True)
    (target / MODULES_FILE).write_text(json.dumps(entries, indent=2), encoding="utf-8")


def _fill_layer(target: Path, folder: Path, *, convert: bool) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_file() and not (convert and path.name in {*SAFE_WEIGHTS, *PICKLED_WEIGHTS}):
            _link(path, target / path.name)
    if convert:
        save_file(read_checkpoint(folder), target / SAFE_WEIGHTS[0])


def _link(path: Path, target: Path) -> None:
    try:
        target.symlink_to(path.resolve())
    except OSError:  # on Windows, only administrators may create links
        shutil.copyfile(path, target)
