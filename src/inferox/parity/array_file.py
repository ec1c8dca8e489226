"""Named arrays in a safetensors file that came with a package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file

from inferox.core import DataType, IntegrityError, UnsupportedDTypeError


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Reads the arrays of a safetensors file.

    Args:
        path: The file.

    Raises:
        IntegrityError: If it cannot be read, or holds a data type that NumPy lacks, such as ``bf16``.
    """
    try:
        arrays: dict[str, npt.NDArray[Any]] = load_file(path)
        # With ml_dtypes imported, safetensors would also give types that NumPy itself lacks.
        for array in arrays.values():
            _ = DataType.from_numpy(array.dtype).numpy_dtype
    # The exception of safetensors depends on the type that NumPy lacks: for 8-bit floats it is an AttributeError.
    except (OSError, SafetensorError, AttributeError, KeyError, TypeError, ValueError, UnsupportedDTypeError) as error:
        raise IntegrityError(f"{path.name} cannot be read: {error}", hint="pack the model again") from error
    return arrays
