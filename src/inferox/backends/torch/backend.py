"""The PyTorch backend. PyTorch is not imported before it is needed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from inferox.core import (
    Array,
    Artifact,
    Availability,
    Backend,
    DeviceId,
    ExecutionError,
    Exporter,
    LoadOptions,
    Model,
    probe_module,
)

if TYPE_CHECKING:
    from inferox.backends.torch.builder import TorchTensorBuilder
    from inferox.backends.torch.device import TorchDevice

FORMATS = frozenset({"safetensors", "torchscript", "torch-export", "aotinductor", "state-dict"})
"""The formats of artifacts that this backend reads."""


@dataclass(frozen=True)
class TorchBackend(Backend):
    """Runs models with PyTorch.

    Backends of the same device are equal, can be pickled, and are stateless: any number of threads may share one.

    Attributes:
        device: The device on which models are loaded if none is named. ``None`` chooses each time: CUDA if available,
            then Metal, then the CPU.
    """

    device: DeviceId | None = None

    @classmethod
    def cpu(cls) -> TorchBackend:
        """Makes the backend on the CPU."""
        return cls(DeviceId.cpu())

    @classmethod
    def cuda(cls, ordinal: int = 0) -> TorchBackend:
        """Makes the backend on an NVIDIA GPU, which need not exist until it is used.

        Args:
            ordinal: The index of the GPU, from 0.
        """
        return cls(DeviceId.cuda(ordinal))

    @property
    def name(self) -> str:
        """The backend's name."""
        return "torch"

    def probe(self) -> Availability:
        """Probes whether PyTorch can be imported. Never raises."""
        return probe_module("torch", extra="torch")

    def devices(self) -> tuple[TorchDevice, ...]:
        """Lists the devices that can be used now, the fastest kind first.

        Raises:
            BackendUnavailableError: If PyTorch cannot be imported.
        """
        self.require()
        from inferox.backends.torch.device import available_devices

        return available_devices()

    def default_device(self) -> DeviceId:
        """Returns the backend's own device, or the first of ``devices()``.

        Raises:
            BackendUnavailableError: If PyTorch cannot be imported.
        """
        return self.device or self.devices()[0].id

    def tensor_builder(self, device: DeviceId | None = None) -> TorchTensorBuilder:
        """Returns a builder of tensors on a device, or on the default one.

        Raises:
            BackendUnavailableError: If PyTorch cannot be imported, or there is no such device.
        """
        self.require()
        from inferox.backends.torch.builder import TorchTensorBuilder

        return TorchTensorBuilder(device or self.default_device())

    def _multiply(self, left: Array, right: Array, device: DeviceId) -> Array:
        import torch

        from inferox.backends.torch.device import to_torch
        from inferox.backends.torch.errors import translated

        with translated(f"multiplying two matrices on {device}", default=ExecutionError):
            factors = [torch.from_numpy(matrix).to(to_torch(device)) for matrix in (left, right)]
            return (factors[0] @ factors[1]).cpu().numpy()

    def can_load(self, artifact: Artifact) -> bool:
        """Returns whether the artifact is for this backend, in a format that it reads."""
        return artifact.backend == self.name and artifact.format in FORMATS

    def exporter(self) -> Exporter:
        """The exporter that writes PyTorch artifacts at pack time.

        Raises:
            BackendUnavailableError: If PyTorch cannot be imported.
        """
        self.require()
        from inferox.backends.torch.export import TorchExporter

        return TorchExporter()

    def _open(self, artifact: Artifact, device: DeviceId, options: LoadOptions) -> Model:
        from inferox.backends.torch.loaders import open_artifact

        return open_artifact(artifact, device, options, replace(self, device=device))
