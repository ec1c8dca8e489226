"""A model's tokenizer as ``tokenizer.json``, which older checkpoints lack."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import transformers
from transformers.utils import logging as hf_logging

from inferox.core import PackageError
from inferox.sources.file_names import VOCABULARIES, WEIGHTS

_WEIGHTS_SUFFIXES = frozenset({".safetensors", ".bin", ".h5", ".msgpack", ".onnx", ".gguf", ".ot"})


def convert_tokenizer(directory: Path) -> TemporaryDirectory[str] | None:
    """Makes a folder like a model's, with ``tokenizer.json`` in it, where the model has only an older vocabulary.

    Args:
        directory: The folder of the model. It is not changed.

    Returns:
        A folder with everything of the model's but its weights, which is removed with the object; ``None`` where the
        model has ``tokenizer.json``, or no tokenizer at all.

    Raises:
        PackageError: If the vocabulary cannot be converted.
    """
    vocabulary = next((name for name in VOCABULARIES if (directory / name).is_file()), None)
    if vocabulary is None or (directory / "tokenizer.json").is_file():
        return None
    folder: TemporaryDirectory[str] = TemporaryDirectory(prefix="inferox-")
    try:
        _convert(directory, folder.name)
    except Exception as error:  # every tokenizer class fails in its own way
        folder.cleanup()
        reason = (str(error) or type(error).__name__).strip().partition("\n")[0]
        raise PackageError(
            f"transformers cannot make a tokenizer.json of {vocabulary}: {reason}",
            hint="for a SentencePiece model: pip install sentencepiece protobuf",
        ) from error
    # What the model says itself stands above what transformers writes.
    left_out = _weights_of(directory)
    shutil.copytree(
        directory,
        folder.name,
        ignore=lambda path, _: left_out if Path(path) == directory else [],
        dirs_exist_ok=True,
    )
    return folder


def _convert(directory: Path, target: str) -> None:
    verbosity = hf_logging.get_verbosity()
    hf_logging.set_verbosity(logging.CRITICAL)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            str(directory), local_files_only=True, trust_remote_code=False
        )
        tokenizer.save_pretrained(target)
    finally:
        hf_logging.set_verbosity(verbosity)
    if not (Path(target) / "tokenizer.json").is_file():
        raise ValueError(f"{type(tokenizer).__name__} is not of the kind that can be written so")


def _weights_of(directory: Path) -> list[str]:
    """The weights of the model itself, for whatever framework, and files that begin with a dot."""
    return [
        path.name
        for path in directory.iterdir()
        if path.name.startswith(".") or path.name in WEIGHTS or path.suffix in _WEIGHTS_SUFFIXES
    ]
