"""The backend. Nothing here imports SciPy before it is needed."""

from __future__ import annotations

from dataclasses import dataclass

from inferox.backends.host import HostBackend
from inferox.core import (
    Array,
    Artifact,
    Availability,
    BackendUnavailableError,
    DeviceId,
    ExecutionError,
    Exporter,
    LoadOptions,
    Model,
)


@dataclass(frozen=True)
class SparseBackend(HostBackend):
    """Runs perceptrons on the CPU, with the weights that are not zero."""

    @property
    def name(self) -> str:
        """The backend's name."""
        return "sparse"

    def probe(self) -> Availability:
        """Checks whether SciPy can be imported. Never raises."""
        try:
            import scipy  # type: ignore[import-untyped]
        except ModuleNotFoundError as error:
            return Availability(reason=f"{error.name} is not installed", hint="pip install scipy")
        except Exception as error:  # noqa: BLE001 - a damaged installation may fail in any way
            return Availability(reason=f"scipy cannot be imported: {error}", hint="pip install --force-reinstall scipy")
        return Availability(version=scipy.__version__)

    def _multiply(self, left: Array, right: Array, device: DeviceId) -> Array:
        from scipy.sparse import csr_array  # type: ignore[import-untyped]

        from .errors import translated

        with translated(f"multiplying two matrices on {device}", default=ExecutionError):
            product: Array = csr_array(left) @ right
        return product

    def can_load(self, artifact: Artifact) -> bool:
        """Returns whether the artifact is for this backend, in the format that it reads."""
        return artifact.backend == self.name and artifact.format == "safetensors"

    def exporter(self) -> Exporter:
        """Returns the exporter that writes artifacts at pack time; it needs PyTorch."""
        try:
            from .export import SparseExporter
        except ModuleNotFoundError as error:
            raise BackendUnavailableError(
                f"packing for sparse needs {error.name}, which is not installed", hint="pip install 'inferox[torch]'"
            ) from error
        return SparseExporter()

    def _open(self, artifact: Artifact, device: DeviceId, options: LoadOptions) -> Model:
        self.tensor_builder(device)  # refuses a device that does not exist
        from .model import open_model

        return open_model(artifact, device, options)
