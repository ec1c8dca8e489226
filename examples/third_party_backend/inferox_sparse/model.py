"""A perceptron computed by SciPy."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from scipy.sparse import csr_array  # type: ignore[import-untyped]

from inferox.backends.host import HostTensorBuilder
from inferox.core import (
    Artifact,
    DeviceId,
    LoadError,
    LoadOptions,
    MemoryRequirements,
    Model,
    ModelMetadata,
)
from inferox.machine import resolve_threads

from .errors import translated

Array = npt.NDArray[Any]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda values: np.maximum(values, 0),
    "sigmoid": lambda values: 1 / (1 + np.exp(-values)),
    "tanh": np.tanh,
}
"""The activations that may follow a layer, by name."""


class Linear:
    """A layer that only keeps the weights that are not zero.

    Args:
        weight: Shape ``[out, in]``.
        bias: Shape ``[out]``.
    """

    def __init__(self, weight: Array, bias: Array) -> None:
        self._weight, self._bias = csr_array(weight), bias
        kept = (self._weight.data, self._weight.indices, self._weight.indptr, bias)
        self.size_bytes = sum(array.nbytes for array in kept)

    def __call__(self, values: Array) -> Array:
        """Computes the layer's outputs ``[batch, out]`` from its inputs ``[batch, in]``."""
        found: Array = (self._weight @ values.T).T + self._bias
        return found


class SparseModel(Model):
    """Steps that are computed one after the other. Calls change nothing, so threads may share the model."""

    takes_arrays: ClassVar[bool] = True

    def __init__(
        self, artifact: Artifact, device: DeviceId, package: str, steps: Sequence[Callable[..., Array]]
    ) -> None:
        memory = MemoryRequirements(sum(step.size_bytes for step in steps if isinstance(step, Linear)))
        metadata, builder = ModelMetadata.of(artifact, device), HostTensorBuilder("sparse")
        super().__init__(package, metadata, artifact.signature, memory, builder=builder, border=translated)
        self._steps: Sequence[Callable[..., Array]] | None = steps

    def close(self) -> None:
        """Releases the weights. A ``forward`` in progress in another thread still completes."""
        self._steps = None

    def _compute(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        steps = self._steps
        if steps is None:
            raise self._closed()
        (values,) = inputs.values()
        for step in steps:
            values = step(values)
        return {self.signature.output_names[0]: np.ascontiguousarray(values)}


def open_model(artifact: Artifact, device: DeviceId, options: LoadOptions) -> SparseModel:
    """Reads the steps, and the weights that they name from the package's weights file."""
    resolve_threads(options.threads)  # refuses a number below 1; SciPy's products use a single thread
    with translated(f"loading {options.package}", default=LoadError):
        listed = json.loads(artifact.path("steps").read_text(encoding="utf-8"))
        weights = load_file(artifact.path("weights"))
        steps = [_open_step(step, weights) for step in listed]
    return SparseModel(artifact, device, options.package, steps)


def _open_step(step: Mapping[str, str], weights: Mapping[str, Array]) -> Callable[..., Array]:
    if "activation" in step:
        return ACTIVATIONS[step["activation"]]
    return Linear(weights[f"{step['linear']}.weight"], weights[f"{step['linear']}.bias"])
