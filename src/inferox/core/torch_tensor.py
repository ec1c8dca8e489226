"""Conversion to PyTorch tensors. PyTorch is imported only for callers who request this."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

import numpy as np

from inferox.core.errors import BackendUnavailableError


def require_torch() -> None:
    """Checks that PyTorch is installed, without importing it.

    Raises:
        BackendUnavailableError: If it is not.
    """
    if find_spec("torch") is None:
        raise BackendUnavailableError(
            "a PyTorch tensor was requested, but PyTorch is not installed",
            hint="install 'torch', or request NumPy arrays, which do not need it",
        )


def to_torch(value: Any) -> Any:
    """Converts a value to a PyTorch tensor, sharing memory where possible.

    Args:
        value: A NumPy array, or an object that supports DLPack.

    Raises:
        BackendUnavailableError: If PyTorch is not installed.
    """
    require_torch()
    # DLPack takes neither read-only memory nor numbers that are not arrays, and PyTorch aborts the process if an axis
    # has a negative stride.
    if isinstance(value, np.generic) or (
        isinstance(value, np.ndarray) and not (value.flags.writeable and value.flags.c_contiguous)
    ):
        value = np.array(value, order="C")
    # Imported by name: the core does not depend on PyTorch, and this is for users who have it.
    return importlib.import_module("torch").from_dlpack(value)
