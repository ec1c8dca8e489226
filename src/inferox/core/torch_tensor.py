"""Handing numbers out as tensors of PyTorch, which is imported for nobody who has not asked for that."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

import numpy as np

from inferox.core.errors import BackendUnavailableError


def to_torch(value: Any) -> Any:
    """Makes a tensor of PyTorch, which shares the memory where it can.

    Args:
        value: A NumPy array, or what speaks DLPack.

    Raises:
        BackendUnavailableError: If PyTorch is not installed.
    """
    if find_spec("torch") is None:
        raise BackendUnavailableError(
            "a tensor of PyTorch was asked for, and PyTorch is not installed",
            hint="install 'torch', or ask for arrays, which need none",
        )
    # DLPack takes neither memory that is read only nor numbers that are not arrays, and PyTorch ends the process where
    # an axis goes backwards.
    if isinstance(value, np.generic) or (
        isinstance(value, np.ndarray) and not (value.flags.writeable and value.flags.c_contiguous)
    ):
        value = np.array(value, order="C")
    # By its name: the core does without PyTorch, and this is its users' own.
    return importlib.import_module("torch").from_dlpack(value)
