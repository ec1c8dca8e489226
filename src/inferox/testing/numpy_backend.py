"""A complete example backend in NumPy: it runs only perceptrons, but fulfils the whole contract.

Inferox does not register it: it is meant to be read, and shows that the conformance suite can be passed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from inferox.backends.host import HostBackend, HostTensorBuilder
from inferox.core import (
    Array,
    Artifact,
    Availability,
    DeviceId,
    ErrorBorder,
    Layout,
    LoadError,
    LoadOptions,
    MemoryRequirements,
    Model,
    ModelMetadata,
    Precision,
    read_json_object,
)
from inferox.machine import resolve_threads
from inferox.testing.mlp import LAYERS, SIGNATURE, save_mlp_weights

CONFIG = "backends/numpy/mlp.json"
"""The config file, ``{"layers": [...]}``: the layers' names in order. A ReLU follows all layers but the last."""

_MAX_CONCURRENCY = 16
"""The most concurrent calls. NumPy multiplies matrices this small on the caller's thread."""

Layer = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""A layer: the transposed weight ``[in, out]`` and the bias ``[out]``."""


translated = ErrorBorder("numpy")
"""The border that translates NumPy's exceptions."""


class NumpyModel(Model):
    """A perceptron. It is stateless, so any number of threads may call it.

    Args:
        artifact: The artifact from which it was loaded.
        device: The device that it runs on.
        package: The name of the package.
        layers: The layers in order.
    """

    takes_arrays: ClassVar[bool] = True

    def __init__(self, artifact: Artifact, device: DeviceId, package: str, layers: Sequence[Layer]) -> None:
        memory = MemoryRequirements(sum(array.nbytes for layer in layers for array in layer))
        builder = HostTensorBuilder("numpy")
        metadata = ModelMetadata.of(artifact, device)
        super().__init__(
            package,
            metadata,
            artifact.signature,
            memory,
            builder=builder,
            border=translated,
            max_concurrency=_MAX_CONCURRENCY,
        )
        self._layers: Sequence[Layer] | None = layers

    def close(self) -> None:
        """Releases the weights. A ``forward`` in progress in another thread still completes."""
        self._layers = None

    def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        layers = self._layers
        if layers is None:
            raise self._closed()
        (hidden,) = inputs.values()
        for index, (weight, bias) in enumerate(layers):
            hidden = hidden @ weight + bias
            if index < len(layers) - 1:
                hidden = np.maximum(hidden, 0)
        return {self.signature.output_names[0]: hidden}


@dataclass(frozen=True)
class NumpyBackend(HostBackend):
    """Runs perceptrons on the CPU with NumPy."""

    @property
    def name(self) -> str:
        """The backend's name."""
        return "numpy"

    def probe(self) -> Availability:
        """Reports that it is always available, since Inferox itself needs NumPy."""
        return Availability(version=np.__version__)

    def _multiply(self, left: Array, right: Array, device: DeviceId) -> Array:  # noqa: ARG002 - there is the CPU alone
        return left @ right

    def can_load(self, artifact: Artifact) -> bool:
        """Returns whether the artifact is one of this backend's, in the format that it reads."""
        return artifact.backend == self.name and artifact.format == "safetensors"

    def _open(self, artifact: Artifact, device: DeviceId, options: LoadOptions) -> Model:
        self.tensor_builder(device)  # refuses a device that does not exist
        resolve_threads(options.threads)  # refuses a number below 1; NumPy's threads are the process' own
        with translated(f"loading {options.package}", default=LoadError):
            config = read_json_object(artifact.path("config"), error_type=LoadError)
            weights: dict[str, npt.NDArray[Any]] = load_file(artifact.path("weights"))
            layers = [(weights[f"{name}.weight"].T, weights[f"{name}.bias"]) for name in config["layers"]]
        return NumpyModel(artifact, device, options.package, layers)


def write_artifact(root: Path) -> Artifact:
    """Writes the suite's perceptron as an artifact of this backend.

    Args:
        root: The folder of the package.
    """
    files = {"config": CONFIG, "weights": save_mlp_weights(root)}
    path = root / CONFIG
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"layers": LAYERS}), encoding="utf-8")
    return Artifact("numpy", "safetensors", Precision.FP32, Layout.PADDED, files, SIGNATURE, root)
