"""The ONNX Runtime backend: small to install, quick to start. Nothing here imports it before it is needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferox.backends.host import HostDevice, HostTensorBuilder
from inferox.core import (
    Artifact,
    Availability,
    Backend,
    BackendUnavailableError,
    DataType,
    DeviceId,
    ExecutionError,
    Exporter,
    LoadError,
    LoadOptions,
    Model,
    ModelMetadata,
    check_graph,
    probe_module,
)
from inferox.machine import resolve_threads

FORMAT = "onnx"
"""The format of artifacts that this backend reads."""

_TOLERANCE = 1e-4


@dataclass(frozen=True)
class OnnxRuntimeBackend(Backend):
    """Runs ONNX graphs on the CPU with ONNX Runtime. All of them are equal, and hold nothing."""

    @property
    def name(self) -> str:
        """The backend's name."""
        return "onnxruntime"

    @property
    def distributions(self) -> tuple[str, ...]:
        """The distributions that install ONNX Runtime, each with other devices."""
        return ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")

    def probe(self) -> Availability:
        """Asks whether ONNX Runtime can be imported. Never raises."""
        return probe_module("onnxruntime", extra="onnx")

    def devices(self) -> tuple[HostDevice, ...]:
        """The CPU.

        Raises:
            BackendUnavailableError: If ONNX Runtime cannot be imported.
        """
        self.require()
        return (HostDevice(),)

    def default_device(self) -> DeviceId:
        """The CPU.

        Raises:
            BackendUnavailableError: If ONNX Runtime cannot be imported.
        """
        return self.devices()[0].id

    def tensor_builder(self, device: DeviceId | None = None) -> HostTensorBuilder:
        """Makes tensors on the CPU.

        Raises:
            BackendUnavailableError: If ONNX Runtime cannot be imported, or for any other device.
        """
        self.require()
        return HostTensorBuilder(self.name).with_device(device or DeviceId.cpu())

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
        from inferox.backends.onnxruntime.session import list_ports, open_session

        self.tensor_builder(device)
        if options.compile:
            raise LoadError("ONNX Runtime compiles nothing just in time", hint="leave out compile")
        with translated(f"loading {options.package}", default=LoadError):
            session = open_session(artifact.path("graph"), threads=resolve_threads(options.threads))
            size = artifact.size_bytes
        check_graph(artifact, list_ports(session.get_inputs()), list_ports(session.get_outputs()))
        metadata = ModelMetadata.of(artifact, device)
        return OnnxModel(options.package, metadata, artifact.signature, session, weights_bytes=size)
