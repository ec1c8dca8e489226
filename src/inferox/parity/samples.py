"""Sample inputs with the reference's outputs, on which artifacts can be measured anywhere, at any time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from inferox.core import IntegrityError, shown
from inferox.parity.array_file import read_arrays

SAMPLES_FILE = "samples.safetensors"

_KEY = re.compile(r"(?P<batch>\d{1,6})\.(?P<side>inputs|outputs)\.(?P<name>.+)", re.DOTALL)
_PROBE_KEY = re.compile(r"probe(?P<batch>\d{1,6})\.inputs\.(?P<name>.+)", re.DOTALL)


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
        probes: Inputs of further calls, in which rows of ``batches`` are combined with rows made to disturb them. The
            reference's outputs for them are not stored: rows of a call are compared with the same rows alone.
    """

    batches: tuple[SampleBatch, ...]
    probes: tuple[Mapping[str, npt.NDArray[Any]], ...] = ()

    def with_batches(self, batches: Iterable[SampleBatch]) -> Samples:
        """Returns the same probes with other calls."""
        return replace(self, batches=tuple(batches))

    def save(self, path: Path) -> None:
        """Writes the samples as one safetensors file.

        Its names are ``<call>.inputs.<name>`` and ``<call>.outputs.<name>``, and ``probe<call>.inputs.<name>``.

        Args:
            path: The file.

        Raises:
            OSError: If it cannot be written, as when the disk is full.
        """
        named = {
            f"{index}.{side}.{name}": array
            for index, batch in enumerate(self.batches)
            for side, arrays in (("inputs", batch.inputs), ("outputs", batch.outputs))
            for name, array in arrays.items()
        }
        probes = {
            f"probe{index}.inputs.{name}": array
            for index, inputs in enumerate(self.probes)
            for name, array in inputs.items()
        }
        content = save({name: np.asarray(array, order="C") for name, array in {**named, **probes}.items()})
        path.write_bytes(content)

    @classmethod
    def load(cls, path: Path) -> Samples:
        """Reads samples.

        Args:
            path: The file.

        Raises:
            IntegrityError: If the file cannot be read, or holds anything but numbered calls.
        """
        arrays = read_arrays(path)
        calls: dict[int, dict[str, dict[str, npt.NDArray[Any]]]] = {}
        probes: dict[int, dict[str, npt.NDArray[Any]]] = {}
        for key, array in arrays.items():
            if probe := _PROBE_KEY.fullmatch(key):
                probes.setdefault(int(probe["batch"]), {})[probe["name"]] = array
                continue
            match = _KEY.fullmatch(key)
            if match is None:
                raise IntegrityError(f"{path.name} holds {shown(key)}, which is not part of a numbered call")
            call = calls.setdefault(int(match["batch"]), {"inputs": {}, "outputs": {}})
            call[match["side"]][match["name"]] = array
        for kind, numbered in (("calls", calls), ("probes", probes)):
            if sorted(numbered) != list(range(len(numbered))):
                raise IntegrityError(f"{path.name} must number its {kind} from 0, but has {shown(sorted(numbered))}")
        bare = next((index for index, call in sorted(calls.items()) if not (call["inputs"] and call["outputs"])), None)
        if not calls or bare is not None:
            lack = "has no calls" if bare is None else f"has a call without inputs or without outputs ({bare})"
            raise IntegrityError(f"{path.name} {lack}, so that nothing can be measured", hint="pack the model again")
        batches = tuple(SampleBatch(**calls[index]) for index in range(len(calls)))
        samples = cls(batches, tuple(probes[index] for index in range(len(probes))))
        _check_alike(samples, path.name)
        return samples


def _check_alike(samples: Samples, file: str) -> None:
    """Checks that all calls have the same tensors, and all probes the same inputs as the calls.

    Raises:
        IntegrityError: If one has others.
    """
    first = samples.batches[0]
    named = [(f"call {index}", batch.inputs, batch.outputs) for index, batch in enumerate(samples.batches)]
    named += [(f"probe {index}", inputs, first.outputs) for index, inputs in enumerate(samples.probes)]
    for subject, inputs, outputs in named:
        different = (inputs.keys() ^ first.inputs.keys()) | (outputs.keys() ^ first.outputs.keys())
        if different:
            raise IntegrityError(
                f"{file}: {subject} and call 0 must have the same tensors, but only one of them has {min(different)!r}",
                hint="pack the model again",
            )
