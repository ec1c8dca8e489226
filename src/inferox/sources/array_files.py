"""Files of example inputs as named arrays."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file

from inferox.core import PackageError


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Reads example inputs by name.

    Args:
        path: An ``.npz`` or ``.safetensors`` file.

    Raises:
        PackageError: If it cannot be read, or is neither.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        if path.suffix == ".npz":
            # Pickled arrays would run code when they are read.
            with np.load(path, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive}
    # For a file of a single array, NumPy returns the array itself, which is not a context manager: a TypeError.
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        SafetensorError,
    ) as error:
        raise PackageError(f"the samples {path} cannot be read: {error}") from error
    raise PackageError(f"the samples must be an .npz or .safetensors file, but are {path.name!r}")
