"""The Candle backend: the smallest to install. Nothing here imports Candle before it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from inferox.backends.host import HostBackend
from inferox.core import (
    Array,
    Artifact,
    Availability,
    DataType,
    DeviceId,
    ExecutionError,
    Exporter,
    LoadError,
    LoadOptions,
    Model,
    ModelMetadata,
    Precision,
    TensorBuilder,
    UnsupportedDTypeError,
    probe_module,
)
from inferox.machine import limit_rayon

FORMAT = "safetensors"
"""The format of artifacts that this backend reads."""

DISTRIBUTION = "candle-nn"
"""The distribution of the module ``candle``, a name that another distribution uses too."""


@dataclass(frozen=True)
class CandleBackend(HostBackend):
    """Runs encoders of the BERT family and chains of layers on the CPU with Candle.

    All instances are equal, and stateless. The published wheels of Candle do not support GPUs.
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
        """Probes whether Candle can be imported. Never raises."""
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

    def _make_builder(self) -> TensorBuilder:
        from inferox.backends.candle.builder import CandleTensorBuilder

        return CandleTensorBuilder()

    def _multiply(self, left: Array, right: Array, device: DeviceId) -> Array:
        from inferox.backends.candle.errors import translated
        from inferox.backends.candle.exchange import to_candle, to_numpy

        with translated(f"multiplying two matrices on {device}", default=ExecutionError):
            return to_numpy(to_candle(left).matmul(to_candle(right)))

    def can_load(self, artifact: Artifact) -> bool:
        """Returns whether the artifact is for this backend, in a format that it reads."""
        return artifact.backend == self.name and artifact.format == FORMAT

    def exporter(self) -> Exporter:
        """The exporter that writes Candle's artifacts at pack time.

        Raises:
            BackendUnavailableError: If Candle cannot be imported.
        """
        self.require()
        from inferox.backends.candle.export import CandleExporter

        return CandleExporter()

    def _open(self, artifact: Artifact, device: DeviceId, options: LoadOptions) -> Model:
        """Loads an artifact.

        Candle has a single number of threads for the whole process: the model that was loaded last sets it for all, and
        none can raise it above that of the first. If nobody requests a number, ``RAYON_NUM_THREADS`` keeps the
        operator's value.
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
