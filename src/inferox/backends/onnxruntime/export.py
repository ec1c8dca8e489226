"""The writer of ONNX Runtime's artifacts."""

from __future__ import annotations

from pathlib import Path

from inferox.backends.onnx.graph import graph_precision, write_graph
from inferox.backends.onnxruntime.errors import translated
from inferox.core import Artifact, Exporter, ExportRequest, Layout, LoadError, Precision, SourceModel


class OnnxExporter(Exporter):
    """Captures a module with ``torch.export`` and writes it as an ONNX graph."""

    layouts = (Layout.PADDED, Layout.PACKED)

    def export(self, source: SourceModel, root: Path, request: ExportRequest) -> Artifact:
        """Writes the graph in fp32 or in int8; see ``Exporter``.

        Raises:
            LoadError: If the module cannot be captured or has an operator that ONNX lacks, or for half precision, for
                which ONNX Runtime has no CPU kernels.
        """
        if request.precision not in {Precision.FP32, Precision.INT8}:
            raise LoadError(f"onnxruntime computes in fp32 and int8 on CPUs, not in {request.precision.value}")
        with translated(f"exporting {source.facts.name}", default=LoadError):
            precision = graph_precision(source, request)
            graph = write_graph(source, root, request)
            files = graph.files
            if request.precision is Precision.INT8:
                files = {"graph": _quantize(root / graph.files["graph"], root, request.layout)}
        return Artifact("onnxruntime", "onnx", precision, request.layout, files, graph.signature, root)


def _quantize(graph: Path, root: Path, layout: Layout) -> str:
    from inferox.backends.onnxruntime.quantization import quantize

    relative = f"backends/onnxruntime/int8-{layout.value}.onnx"
    (root / relative).parent.mkdir(parents=True, exist_ok=True)
    quantize(graph, root / relative)
    return relative
