"""A model that sleeps instead of computing, served by ``overload.py``: what remains is the server's own work."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import inferox
from inferox.core import Batch, Outputs

PACKAGE, SLEEP = "INFEROX_OVERLOAD_PACKAGE", "INFEROX_OVERLOAD_SLEEP_S"
"""The environment variables that say what is loaded, and how long each row takes."""


SOURCE = "python:sleeping_model:make"
"""The source that a server loads."""


def announce(package: Path, sleep_s: float) -> None:
    """Tells servers that are started from now on where this module is, what it loads, and how long a row takes."""
    os.environ[PACKAGE], os.environ[SLEEP] = str(package), str(sleep_s)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])


def make() -> Any:
    """Makes the model of the package, whose rows take a while but no processor time."""
    loaded = inferox.load(os.environ[PACKAGE], "onnxruntime", quality="exact")
    signature, sleep_s = loaded.model.layout_signature, float(os.environ[SLEEP])

    def wait(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        sizes: dict[str | int, int] = {}
        for spec in signature.inputs:
            sizes |= zip(spec.dims, arrays[spec.name].shape, strict=True)
        return {
            spec.name: np.ones([sizes.get(dim, dim) for dim in spec.dims], np.float32)  # type: ignore[misc]
            for spec in signature.outputs
        }

    def compute(batch: Batch) -> Outputs:
        time.sleep(sleep_s * (len(batch.cu_seqlens) - 1))
        return ordinary(batch)

    ordinary = loaded.model.compute
    loaded.model._run, loaded.model.compute = wait, compute  # type: ignore[method-assign, assignment]  # noqa: SLF001
    return loaded
