"""The files that describe a model's use, in the form in which packages have them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from inferox.sources.auto_tokenizer import save_tokenizer
from inferox.sources.file_names import DESCRIPTIONS, PICKLED_WEIGHTS, VOCABULARIES
from inferox.sources.temporary import make_folder
from inferox.sources.tokenizer_names import TOKENIZER_CONFIG_FILE, TOKENIZER_FILE

_TOKENIZER_FILES = (TOKENIZER_FILE, TOKENIZER_CONFIG_FILE, *VOCABULARIES)
"""Files of which any indicates that a model reads texts."""


def complete_files(directory: Path, config: Mapping[str, Any]) -> TemporaryDirectory[str] | None:
    """Makes a folder like a model's, with the tokenizer that transformers makes from all its files.

    Args:
        directory: The folder of the model. It is not changed.
        config: The model's ``config.json``.

    Returns:
        A folder with the files that describe the model's use, which is removed with the object; ``None`` if the model
        has no tokenizer.

    Raises:
        PackageError: If transformers cannot make the tokenizer, or a package cannot contain it.
    """
    if not any((directory / name).is_file() for name in _TOKENIZER_FILES):
        return None

    def fill(folder: Path) -> None:
        _copy_descriptions(directory, folder)
        save_tokenizer(directory, folder, config)

    return make_folder(fill, f"the files of {directory} cannot be copied")


def _copy_descriptions(directory: Path, target: Path) -> None:
    """Copies the files that packages may need, and nothing else, as a model's folder may contain anything."""
    for pattern in DESCRIPTIONS:
        for path in directory.glob(pattern):
            if path.is_file() and path.name not in PICKLED_WEIGHTS:
                copy = target / path.relative_to(directory)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
