"""The ONNX Runtime backend: small to install and fast to start. The runtime is not imported before it is needed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inferox.backends.host import HostBackend
from inferox.backends.onnxruntime.operators import describe, find_plug_ins, locate_library
from inferox.core import (
    Array,
    Artifact,
    Availability,
    BackendUnavailableError,
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


@dataclass(frozen=True)
class OnnxRuntimeBackend(HostBackend):
    """Runs ONNX graphs on the CPU with ONNX Runtime. All instances are equal, and stateless."""

    @property
    def name(self) -> str:
        """The backend's name."""
        return "onnxruntime"

    @property
    def distributions(self) -> tuple[str, ...]:
        """The distributions that install ONNX Runtime, each with other devices."""
        return ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")

    def probe(self) -> Availability:
        """Probes whether ONNX Runtime can be imported. Never raises."""
        return probe_module("onnxruntime", extra="onnx")

    def _multiply(self, left: Array, right: Array, device: DeviceId) -> Array:
        from inferox.backends.onnxruntime.errors import translated
        from inferox.backends.onnxruntime.probe_graph import MATMUL_GRAPH
        from inferox.backends.onnxruntime.session import open_session

        with translated(f"multiplying two matrices on {device}", default=ExecutionError):
            (product,) = open_session(MATMUL_GRAPH, threads=1).run(None, {"left": left, "right": right})
        return np.asarray(product)

    def can_load(self, artifact: Artifact) -> bool:
        """Returns whether the artifact is for this backend, in a format that it reads."""
        return artifact.backend == self.name and artifact.format == FORMAT

    def extra_code(self, artifact: Artifact) -> str | None:
        """Describes the operator libraries that the graph calls, which installed distributions register."""
        if "graph" not in artifact.files:
            return None
        return " and ".join(map(describe, find_plug_ins(artifact.path("graph")))) or None

    def list_loaded(self) -> tuple[str, ...]:
        """Lists the sessions with one thread; see ``Backend``. Others have threads, which a fork would lack."""
        module = "inferox.backends.onnxruntime.ready_sessions"
        return sys.modules[module].list_in_use() if module in sys.modules else ()

    def load_in_advance(self, listed: Sequence[str]) -> None:
        """Opens sessions; see ``Backend``."""
        from inferox.backends.onnxruntime.ready_sessions import open_in_advance

        open_in_advance(listed)

    def exporter(self) -> Exporter:
        """The exporter that writes ONNX graphs at pack time.

        Raises:
            BackendUnavailableError: If a library that is needed to write them is not installed.
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
        from inferox.backends.onnxruntime.ready_sessions import SessionFiles, open_or_take
        from inferox.backends.onnxruntime.session import list_ports

        self.tensor_builder(device)
        if options.compile:
            raise LoadError("ONNX Runtime compiles nothing just in time", hint="leave out compile")
        with translated(f"loading {options.package}", default=LoadError):
            graph = artifact.path("graph")
            # They get here only if the operator trusts them; see ``Backend.load``.
            libraries = list(map(locate_library, find_plug_ins(graph)))
            others = tuple(artifact.path(role) for role in sorted(artifact.files) if role != "graph")
            session = open_or_take(SessionFiles(graph, others, resolve_threads(options.threads)), libraries)
            size = artifact.size_bytes
        check_graph(artifact, list_ports(session.get_inputs()), list_ports(session.get_outputs()))
        metadata = ModelMetadata.of(artifact, device)
        return OnnxModel(options.package, metadata, artifact.signature, session, weights_bytes=size)
