"""The files that say how a model is used, in the form that packages have them: older checkpoints have others."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import transformers
from transformers.utils import logging as hf_logging

from inferox.core import PackageError
from inferox.sources.file_names import DESCRIPTIONS, PICKLED_WEIGHTS, VOCABULARIES

_TOKENIZER = "tokenizer.json"


def complete_files(directory: Path) -> TemporaryDirectory[str] | None:
    """Makes a folder like a model's with its tokenizer in the form of packages, where it has an older form alone.

    Args:
        directory: The folder of the model. It is not changed.

    Returns:
        A folder with what describes the model's use, which is removed with the object; ``None`` where the model's
        folder will do as it is.

    Raises:
        PackageError: If a vocabulary cannot be converted.
    """
    has_tokenizer = (directory / _TOKENIZER).is_file()
    vocabulary = next((name for name in VOCABULARIES if (directory / name).is_file()), None)
    if vocabulary is None or has_tokenizer:
        return None
    folder: TemporaryDirectory[str] = TemporaryDirectory(prefix="inferox-")
    try:
        _convert_tokenizer(directory, Path(folder.name), vocabulary)
        # What the model says itself stands above what transformers writes.
        _copy_descriptions(directory, Path(folder.name))
    except OSError as error:
        folder.cleanup()
        raise PackageError(f"the files of {directory} cannot be copied: {error}") from error
    except BaseException:
        folder.cleanup()
        raise
    return folder


def _convert_tokenizer(directory: Path, target: Path, vocabulary: str) -> None:
    verbosity = hf_logging.get_verbosity()
    hf_logging.set_verbosity(logging.CRITICAL)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            str(directory), local_files_only=True, trust_remote_code=False
        )
        tokenizer.save_pretrained(target)
    except Exception as error:  # every tokenizer class fails in its own way
        reason = (str(error) or type(error).__name__).strip().partition("\n")[0]
        raise PackageError(
            f"transformers cannot make a {_TOKENIZER} of {vocabulary}: {reason}",
            hint="for a SentencePiece model: pip install sentencepiece protobuf",
        ) from error
    finally:
        hf_logging.set_verbosity(verbosity)
    if not (target / _TOKENIZER).is_file():
        raise PackageError(
            f"transformers reads {vocabulary} with {type(tokenizer).__name__}, which has no {_TOKENIZER}",
            hint="choose another task with --task, such as raw",
        )


def _copy_descriptions(directory: Path, target: Path) -> None:
    """Copies the files that packages may need, and nothing else: a model's folder may hold anything."""
    for pattern in DESCRIPTIONS:
        for path in directory.glob(pattern):
            if path.is_file() and path.name not in PICKLED_WEIGHTS:
                copy = target / path.relative_to(directory)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
