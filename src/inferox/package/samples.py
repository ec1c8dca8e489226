"""Sample inputs and what the reference made of them: what an artifact is measured with, anywhere and at any time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from inferox.core import DataType, IntegrityError, UnsupportedDTypeError

SAMPLES_FILE = "samples.safetensors"

_KEY = re.compile(r"(?P<batch>\d{1,6})\.(?P<side>inputs|outputs)\.(?P<name>.+)", re.DOTALL)


@dataclass(frozen=True)
class SampleBatch:
    """One call: the inputs, and the outputs of the reference.

    Attributes:
        inputs: The tensors by name, with all their dims.
        outputs: The tensors by name, with all their dims.
    """

    inputs: Mapping[str, npt.NDArray[Any]]
    outputs: Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Samples:
    """The sample calls of a package.

    Attributes:
        batches: The calls, in order.
    """

    batches: tuple[SampleBatch, ...]

    def save(self, path: Path) -> None:
        """Writes the samples as one safetensors file, whose names are ``<call>.inputs.<name>`` and ``….outputs.…``.

        Args:
            path: The file.

        Raises:
            OSError: If it cannot be written, as when the disk is full.
        """
        content = save(
            {
                f"{index}.{side}.{name}": np.asarray(array, order="C")
                for index, batch in enumerate(self.batches)
                for side, arrays in (("inputs", batch.inputs), ("outputs", batch.outputs))
                for name, array in arrays.items()
            }
        )
        path.write_bytes(content)

    @classmethod
    def load(cls, path: Path) -> Samples:
        """Reads samples.

        Args:
            path: The file.

        Raises:
            IntegrityError: If the file cannot be read, or holds anything but numbered calls.
        """
        try:
            arrays = load_file(path)
            # With ml_dtypes imported, safetensors would also give types that NumPy itself lacks.
            for array in arrays.values():
                _ = DataType.from_numpy(array.dtype).numpy_dtype
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, UnsupportedDTypeError) as error:
            raise IntegrityError(f"{path.name} cannot be read: {error}", hint="pack the model again") from error
        calls: dict[int, dict[str, dict[str, npt.NDArray[Any]]]] = {}
        for key, array in arrays.items():
            match = _KEY.fullmatch(key)
            if match is None:
                raise IntegrityError(f"{path.name} holds {key!r}, which is no part of a numbered call")
            call = calls.setdefault(int(match["batch"]), {"inputs": {}, "outputs": {}})
            call[match["side"]][match["name"]] = array
        if sorted(calls) != list(range(len(calls))):
            raise IntegrityError(f"{path.name} must number its calls from 0, and has {sorted(calls)}")
        return cls(tuple(SampleBatch(**calls[index]) for index in range(len(calls))))
