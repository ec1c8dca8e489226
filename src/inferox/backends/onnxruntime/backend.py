"""The ONNX Runtime backend: small to install, quick to start. Nothing here imports it before it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import psutil

from inferox.core import (
    CONFIG_FILE,
    Artifact,
    Availability,
    Backend,
    BackendUnavailableError,
    DataType,
    Device,
    DeviceId,
    ExecutionError,
    Exporter,
    LoadError,
    LoadOptions,
    MemoryInfo,
    Model,
    ModelMetadata,
)

if TYPE_CHECKING:
    from inferox.backends.onnxruntime.tensor import OnnxTensorBuilder

FORMAT = "onnx"
"""The format of artifacts that this backend reads."""

_TOLERANCE = 1e-4


class OnnxDevice(Device):
    """The CPU, as ONNX Runtime uses it."""

    @property
    def id(self) -> DeviceId:
        """The CPU's name."""
        return DeviceId.cpu()

    def is_available(self) -> bool:
        """Always: whoever asks runs on it."""
        return True

    def memory_info(self) -> MemoryInfo:
        """The machine's memory."""
        memory = psutil.virtual_memory()
        return MemoryInfo(memory.total, memory.available)


@dataclass(frozen=True)
class OnnxRuntimeBackend(Backend):
    """Runs ONNX graphs on the CPU with ONNX Runtime. All of them are equal, and hold nothing."""

    @property
    def name(self) -> str:
        """The backend's name."""
        return "onnxruntime"

    def probe(self) -> Availability:
        """Asks whether ONNX Runtime can be imported. Never raises."""
        try:
            import onnxruntime
        except ModuleNotFoundError as error:
            return Availability(reason=f"{error.name} is not installed", hint="pip install 'inferox[onnx]'")
        except Exception as error:  # noqa: BLE001 - a damaged installation may fail in any way
            return Availability(
                reason=f"onnxruntime is installed but cannot be imported: {error}",
                hint="pip install --force-reinstall 'inferox[onnx]'",
            )
        return Availability(version=str(onnxruntime.__version__))

    def devices(self) -> tuple[OnnxDevice, ...]:
        """The CPU.

        Raises:
            BackendUnavailableError: If ONNX Runtime cannot be imported.
        """
        self._require()
        return (OnnxDevice(),)

    def default_device(self) -> DeviceId:
        """The CPU.

        Raises:
            BackendUnavailableError: If ONNX Runtime cannot be imported.
        """
        return self.devices()[0].id

    def tensor_builder(self, device: DeviceId | None = None) -> OnnxTensorBuilder:
        """Makes tensors on the CPU.

        Raises:
            BackendUnavailableError: If ONNX Runtime cannot be imported, or for any other device.
        """
        self._require()
        from inferox.backends.onnxruntime.tensor import OnnxTensorBuilder

        return OnnxTensorBuilder().with_device(device or DeviceId.cpu())

    def self_test(self, device: DeviceId) -> None:
        """Multiplies two small matrices and compares the product with NumPy's.

        Raises:
            BackendUnavailableError: If ONNX Runtime cannot be imported, or for any device but the CPU.
            ExecutionError: If ONNX Runtime fails, or the product is wrong.
        """
        builder = self.tensor_builder(device)
        from inferox.backends.onnxruntime.errors import translated
        from inferox.backends.onnxruntime.probe_graph import MATMUL_GRAPH
        from inferox.backends.onnxruntime.session import open_session

        left, right = (builder.randn([16, 16], DataType.F32, seed=seed).numpy() for seed in (0, 1))
        with translated(f"multiplying two matrices on {device}", default=ExecutionError):
            (product,) = open_session(MATMUL_GRAPH, threads=1).run(None, {"left": left, "right": right})
        error = float(np.abs(product - left @ right).max())
        if not error <= _TOLERANCE:
            raise ExecutionError(f"onnxruntime multiplies wrongly on {device}: a product is off by {error:.3g}")

    def can_load(self, artifact: Artifact) -> bool:
        """Whether the artifact is one of this backend's, in a format that it reads."""
        return artifact.backend == self.name and artifact.format == FORMAT

    def exporter(self) -> Exporter:
        """What writes ONNX graphs at pack time.

        Raises:
            BackendUnavailableError: If what it takes to write them is not installed.
        """
        try:
            from inferox.backends.onnxruntime.export import OnnxExporter
        except ModuleNotFoundError as error:
            raise BackendUnavailableError(
                f"writing ONNX graphs needs {error.name}, which is not installed",
                hint="pip install 'inferox[onnx-export]'",
            ) from error

        return OnnxExporter()

    def _open(self, artifact: Artifact, device: DeviceId, options: LoadOptions) -> Model:
        from inferox.backends.onnxruntime.errors import translated
        from inferox.backends.onnxruntime.model import OnnxModel
        from inferox.backends.onnxruntime.session import open_session
        from inferox.backends.onnxruntime.tensor import check_device

        check_device(device)
        if options.compile:
            raise LoadError("ONNX Runtime compiles nothing just in time", hint="leave out compile")
        with translated(f"loading {options.package}", default=LoadError):
            session = open_session(artifact.path("graph"), threads=options.threads)
        size = sum(artifact.path(role).stat().st_size for role in artifact.files if role != CONFIG_FILE)
        metadata = ModelMetadata(artifact.backend, artifact.format, artifact.precision, artifact.layout, device)
        return OnnxModel(options.package, metadata, artifact.signature, session, weights_bytes=size)

    def _require(self) -> None:
        availability = self.probe()
        if not availability.available:
            raise BackendUnavailableError(
                f"the backend {self.name} cannot run here: {availability.reason}", hint=availability.hint
            )
