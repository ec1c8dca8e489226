"""The backend. Nothing here imports SciPy before it is needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferox.backends.host import HostDevice, HostTensorBuilder
from inferox.core import (
    Artifact,
    Availability,
    Backend,
    BackendUnavailableError,
    DeviceId,
    ExecutionError,
    Exporter,
    LoadOptions,
    Model,
)


@dataclass(frozen=True)
class SparseBackend(Backend):
    """Runs perceptrons on the CPU, with the weights that are not zero."""

    @property
    def name(self) -> str:
        """The backend's name."""
        return "sparse"

    def probe(self) -> Availability:
        """Asks whether SciPy can be imported. Never raises."""
        try:
            import scipy  # type: ignore[import-untyped]
        except ModuleNotFoundError as error:
            return Availability(reason=f"{error.name} is not installed", hint="pip install scipy")
        except Exception as error:  # noqa: BLE001 - a damaged installation may fail in any way
            return Availability(reason=f"scipy cannot be imported: {error}", hint="pip install --force-reinstall scipy")
        return Availability(version=scipy.__version__)

    def devices(self) -> tuple[HostDevice, ...]:
        """The CPU."""
        self.require()
        return (HostDevice(),)

    def default_device(self) -> DeviceId:
        """The CPU."""
        return self.devices()[0].id

    def tensor_builder(self, device: DeviceId | None = None) -> HostTensorBuilder:
        """Makes tensors on the CPU."""
        self.require()
        return HostTensorBuilder(self.name).with_device(device or DeviceId.cpu())

    def self_test(self, device: DeviceId) -> None:
        """Multiplies a sparse matrix and compares the product with NumPy's."""
        self.tensor_builder(device)  # refuses a device that is not there
        from scipy.sparse import csr_array  # type: ignore[import-untyped]

        from .errors import translated

        left, right = np.eye(16, k=1, dtype=np.float32), np.arange(256, dtype=np.float32).reshape(16, 16)
        with translated(f"multiplying two matrices on {device}", default=ExecutionError):
            product = csr_array(left) @ right
        if not np.array_equal(product, left @ right):
            raise ExecutionError(f"scipy multiplies wrongly on {device}")

    def can_load(self, artifact: Artifact) -> bool:
        """Whether the artifact is one of this backend's, in the format that it reads."""
        return artifact.backend == self.name and artifact.format == "safetensors"

    def exporter(self) -> Exporter:
        """What writes artifacts at pack time, when PyTorch is there."""
        try:
            from .export import SparseExporter
        except ModuleNotFoundError as error:
            raise BackendUnavailableError(
                f"packing for sparse needs {error.name}, which is not installed", hint="pip install 'inferox[torch]'"
            ) from error
        return SparseExporter()

    def _open(self, artifact: Artifact, device: DeviceId, options: LoadOptions) -> Model:
        self.tensor_builder(device)  # refuses a device that is not there
        from .model import open_model

        return open_model(artifact, device, options)
