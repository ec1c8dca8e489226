"""Files of named tensors."""

from __future__ import annotations

import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from inferox.core import RequestError, parse_json

_DAMAGES = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    RuntimeError,
    zlib.error,
    zipfile.BadZipFile,
    SafetensorError,
)
"""The errors that readers raise for damaged, encrypted or endlessly nested files, and for unknown compression."""

SUFFIXES = (".npz", ".safetensors", ".json")


def read_tensors(path: Path) -> dict[str, Any]:
    """Reads a call for the task ``raw``: each input of the model by name.

    Args:
        path: An ``.npz`` or ``.safetensors`` file, or a ``.json`` file with an object of nested lists.

    Returns:
        The tensors by name: arrays, or nested lists, which ``RawTask`` converts to the model's data types.

    Raises:
        RequestError: If the file cannot be read, or is none of these.
    """
    if path.suffix not in SUFFIXES:
        raise RequestError(f"{path.name} must have one of the suffixes {', '.join(SUFFIXES)}")
    try:
        if path.exists() and not path.is_file():
            raise RequestError(f"{str(path)!r} must be a regular file, but is a folder, pipe, socket or device")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise RequestError(f"{str(path)!r} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        if path.suffix == ".npz":
            return _read_npz(path)
        if path.suffix == ".safetensors":
            return load(content)
        # Numbers may be NaN or infinite, as in arrays. The size is not limited, as the file is the caller's own.
        tensors = parse_json(content, path.name, error_type=RequestError, max_bytes=sys.maxsize, allow_non_finite=True)
    except _DAMAGES as error:
        raise RequestError(f"{path.name} is not a readable {path.suffix} file: {error}") from error
    if not isinstance(tensors, dict):
        raise RequestError(
            f"{path.name} must be a JSON object with each input by name, but is a {type(tensors).__name__}"
        )
    return tensors


def _read_npz(path: Path) -> dict[str, Any]:
    # Pickled arrays would run code when they are read.
    archive = np.load(path, allow_pickle=False)
    if isinstance(archive, np.ndarray):
        raise zipfile.BadZipFile("it holds a single array without a name")
    with archive:
        return {name: archive[name] for name in archive}
