"""The OpenVINO backend: the fastest on Intel's CPUs, above all in int8. The runtime is not imported before use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inferox.backends.host import HostBackend
from inferox.core import (
    Array,
    Artifact,
    Availability,
    BackendUnavailableError,
    Device,
    DeviceId,
    ExecutionError,
    Exporter,
    LoadError,
    LoadOptions,
    Model,
    ModelMetadata,
    Precision,
    check_graph,
    probe_module,
)
from inferox.machine import BF16_FLAGS, processor_flags, resolve_threads

if TYPE_CHECKING:
    from openvino import CompiledModel

ONNX, IR = "onnx", "openvino-ir"
"""The formats of artifacts that this backend reads."""

_SUFFIXES = {ONNX: ".onnx", IR: ".xml"}
"""The suffix of a graph's file, which determines its required content."""


@dataclass(frozen=True)
class OpenVinoBackend(HostBackend):
    """Runs ONNX graphs and OpenVINO's own IR with OpenVINO.

    Attributes:
        flags: Returns the processor's instruction sets; ``None`` if they are not known. OpenVINO itself also reports
            bf16 for processors on which it converts to fp32 and back.
    """

    flags: Callable[[], frozenset[str] | None] = processor_flags

    @property
    def name(self) -> str:
        """The backend's name."""
        return "openvino"

    def probe(self) -> Availability:
        """Probes whether OpenVINO can be imported. Never raises."""
        return probe_module("openvino", extra="openvino")

    def devices(self) -> Sequence[Device]:
        """Lists the CPU, and Intel's GPUs and NPUs if there are any: ``gpu``, ``gpu:1``, ``npu``.

        Raises:
            BackendUnavailableError: If OpenVINO cannot be imported.
        """
        self.require()
        from inferox.backends.openvino.device import available_devices

        return available_devices()

    def _multiply(self, left: Array, right: Array, device: DeviceId) -> Array:
        from inferox.backends.openvino.device import to_openvino
        from inferox.backends.openvino.errors import translated
        from inferox.backends.openvino.probe import multiply

        with translated(f"multiplying two matrices on {device}", default=ExecutionError):
            return multiply(left, right, to_openvino(device))

    def can_load(self, artifact: Artifact) -> bool:
        """Returns whether the artifact is for this backend, in a format that it reads."""
        return artifact.backend == self.name and artifact.format in {ONNX, IR}

    def lacks(self, artifact: Artifact, device: DeviceId | None) -> str | None:
        """Names what the processor lacks for bf16. For other devices and precisions, only OpenVINO can tell."""
        if artifact.precision is not Precision.BF16 or device not in {None, DeviceId.cpu()}:
            return None
        flags = self.flags()
        if flags is None or flags & BF16_FLAGS:
            return None
        return f"the processor has no bf16 arithmetic ({', '.join(sorted(BF16_FLAGS))})"

    def exporter(self) -> Exporter:
        """The exporter that writes ONNX graphs, and IR in int8, at pack time.

        Raises:
            BackendUnavailableError: If a library that is needed to write them is not installed.
        """
        try:
            from inferox.backends.openvino.export import OpenVinoExporter
        except ModuleNotFoundError as error:
            raise BackendUnavailableError(
                f"writing models for OpenVINO needs {error.name}, which is not installed",
                hint="pip install 'inferox[openvino-export]'",
            ) from error

        return OpenVinoExporter()

    def _open(self, artifact: Artifact, device: DeviceId, options: LoadOptions) -> Model:
        from inferox.backends.openvino.compilation import compile_model, list_ports
        from inferox.backends.openvino.device import to_openvino
        from inferox.backends.openvino.errors import translated
        from inferox.backends.openvino.model import OpenVinoModel

        if options.compile:
            raise LoadError("OpenVINO compiles every model when it loads it", hint="leave out compile")
        threads = resolve_threads(options.threads)
        path, target = artifact.path("graph"), to_openvino(device)
        if path.suffix != _SUFFIXES[artifact.format]:
            raise LoadError(f"{path.name} is not an {_SUFFIXES[artifact.format]} file, as {artifact.format} needs")

        bounds = {spec.name: spec.upper_bound for spec in artifact.signature.inputs if spec.upper_bound is not None}

        def compile_for(streams: int) -> CompiledModel:
            return compile_model(path, target, artifact.precision, threads=threads, streams=streams, bounds=bounds)

        with translated(f"loading {options.package}", default=LoadError):
            compiled = compile_for(1)
            size = artifact.size_bytes
            inputs, outputs = list_ports(compiled.inputs), list_ports(compiled.outputs)
        check_graph(artifact, inputs, outputs)
        return OpenVinoModel(
            options.package,
            ModelMetadata.of(artifact, device),
            artifact.signature,
            compiled,
            compile_for=compile_for,
            streams=(options.streams or threads) if device.kind == "cpu" else 1,
            weights_bytes=size,
        )
