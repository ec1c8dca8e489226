"""Writing what OpenVINO runs into a package."""

from __future__ import annotations

from pathlib import Path

from inferox.backends.onnx.graph import write_graph
from inferox.backends.openvino.errors import translated
from inferox.core import Artifact, Exporter, ExportRequest, Layout, LoadError, SourceModel


class OpenVinoExporter(Exporter):
    """Writes the ONNX graph that ONNX Runtime reads too, and quantises it to an IR where eight bits are wanted."""

    layouts = (Layout.PADDED, Layout.PACKED)

    def export(self, source: SourceModel, root: Path, request: ExportRequest) -> Artifact:
        """Writes an artifact; see ``Exporter``. Half precision is what the device makes of the same graph.

        Raises:
            LoadError: If the module cannot be captured or has an operator that ONNX or OpenVINO lacks.
        """
        with translated(f"exporting {source.facts.name}", default=LoadError):
            graph = write_graph(source, root, request)
        return Artifact("openvino", "onnx", request.precision, request.layout, graph.files, graph.signature, root)
