"""The Candle backend: the smallest to install. Nothing here imports Candle before it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import numpy as np

from inferox.backends.host import HostDevice
from inferox.core import (
    Artifact,
    Availability,
    Backend,
    DataType,
    DeviceId,
    ExecutionError,
    Exporter,
    LoadError,
    LoadOptions,
    Model,
    ModelMetadata,
    Precision,
    UnsupportedDTypeError,
    probe_module,
)
from inferox.machine import limit_rayon

if TYPE_CHECKING:
    from inferox.backends.candle.builder import CandleTensorBuilder

FORMAT = "safetensors"
"""The format of artifacts that this backend reads."""

DISTRIBUTION = "candle-nn"
"""What installs the module ``candle``, whose name another distribution has too."""

_TOLERANCE = 1e-4


@dataclass(frozen=True)
class CandleBackend(Backend):
    """Runs encoders of the BERT family and chains of layers on the CPU with Candle.

    All of them are equal, and hold nothing. The wheels of Candle that are published know no GPU.
    """

    @property
    def name(self) -> str:
        """The backend's name."""
        return "candle"

    @property
    def distributions(self) -> tuple[str, ...]:
        """The distribution that installs Candle."""
        return (DISTRIBUTION,)

    def probe(self) -> Availability:
        """Asks whether Candle can be imported. Never raises."""
        availability = probe_module("candle", extra="candle")
        if not availability.available:
            return availability
        try:
            return Availability(version=version(DISTRIBUTION))
        except PackageNotFoundError:
            return Availability(
                reason=f"the module candle is not that of {DISTRIBUTION}",
                hint="uninstall the distribution that it comes from, and pip install 'inferox[candle]'",
            )

    def devices(self) -> tuple[HostDevice, ...]:
        """The CPU.

        Raises:
            BackendUnavailableError: If Candle cannot be imported.
        """
        self.require()
        return (HostDevice(),)

    def default_device(self) -> DeviceId:
        """The CPU.

        Raises:
            BackendUnavailableError: If Candle cannot be imported.
        """
        return self.devices()[0].id

    def tensor_builder(self, device: DeviceId | None = None) -> CandleTensorBuilder:
        """Makes tensors on the CPU.

        Raises:
            BackendUnavailableError: If Candle cannot be imported, or for any other device.
        """
        self.require()
        from inferox.backends.candle.builder import CandleTensorBuilder

        return CandleTensorBuilder().with_device(device or DeviceId.cpu())

    def self_test(self, device: DeviceId) -> None:
        """Multiplies two small matrices and compares the product with NumPy's.

        Raises:
            BackendUnavailableError: If Candle cannot be imported, or for any device but the CPU.
            ExecutionError: If Candle fails, or the product is wrong.
        """
        builder = self.tensor_builder(device)
        from inferox.backends.candle.errors import translated
        from inferox.backends.candle.tensor import CandleTensor

        left, right = (builder.randn([16, 16], DataType.F32, seed=seed) for seed in (0, 1))
        with translated(f"multiplying two matrices on {device}", default=ExecutionError):
            product = CandleTensor(left.candle.matmul(right.candle)).numpy()
        error = float(np.abs(product - left.numpy() @ right.numpy()).max())
        if not error <= _TOLERANCE:
            raise ExecutionError(f"candle multiplies wrongly on {device}: a product is off by {error:.3g}")

    def can_load(self, artifact: Artifact) -> bool:
        """Whether the artifact is one of this backend's, in a format that it reads."""
        return artifact.backend == self.name and artifact.format == FORMAT

    def exporter(self) -> Exporter:
        """What writes Candle's artifacts at pack time.

        Raises:
            BackendUnavailableError: If Candle cannot be imported.
        """
        self.require()
        from inferox.backends.candle.export import CandleExporter

        return CandleExporter()

    def _open(self, artifact: Artifact, device: DeviceId, options: LoadOptions) -> Model:
        """Loads an artifact.

        Candle has one number of threads for the whole process: the model that was loaded last sets it for all, and
        none can raise it above that of the first. Where nobody asks for a number, ``RAYON_NUM_THREADS`` is what the
        operator has set it to.
        """
        self.tensor_builder(device)
        if options.compile:
            raise LoadError("Candle compiles nothing just in time", hint="leave out compile")
        if artifact.precision is not Precision.FP32:
            raise UnsupportedDTypeError(artifact.precision.value, "candle's matrix product", [DataType.F32])
        limit_rayon(options.threads)
        from inferox.backends.candle.errors import translated
        from inferox.backends.candle.model import CandleModel, open_network

        with translated(f"loading {options.package}", default=LoadError):
            network = open_network(artifact)
            size = artifact.path("weights").stat().st_size if "weights" in artifact.files else 0
        return CandleModel(
            options.package,
            ModelMetadata.of(artifact, device),
            artifact.signature,
            network,
            weights_bytes=size,
        )
