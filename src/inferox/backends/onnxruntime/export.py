"""Writing what ONNX Runtime runs into a package."""

from __future__ import annotations

from pathlib import Path

from inferox.backends.onnx.graph import write_graph
from inferox.backends.onnxruntime.errors import translated
from inferox.core import Artifact, Exporter, ExportRequest, Layout, LoadError, Precision, SourceModel


class OnnxExporter(Exporter):
    """Captures a module with ``torch.export`` and writes it as an ONNX graph."""

    layouts = (Layout.PADDED, Layout.PACKED)

    def export(self, source: SourceModel, root: Path, request: ExportRequest) -> Artifact:
        """Writes the graph in single precision; see ``Exporter``.

        Raises:
            LoadError: If the module cannot be captured or has an operator that ONNX lacks.
        """
        if request.precision is not Precision.FP32:
            raise LoadError(f"ONNX graphs are written in fp32, not in {request.precision.value}")
        with translated(f"exporting {source.facts.name}", default=LoadError):
            graph = write_graph(source, root, request)
        return Artifact("onnxruntime", "onnx", request.precision, request.layout, graph.files, graph.signature, root)
