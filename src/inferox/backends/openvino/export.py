"""The writer of OpenVINO's artifacts."""

from __future__ import annotations

import shutil
from pathlib import Path

from inferox.backends.onnx.graph import graph_precision, write_graph
from inferox.backends.openvino.errors import translated
from inferox.core import Artifact, Exporter, ExportRequest, Layout, LoadError, Precision, SourceModel


class OpenVinoExporter(Exporter):
    """Writes the ONNX graph that ONNX Runtime reads too, and quantises it to an IR if int8 is requested."""

    layouts = (Layout.PADDED, Layout.PACKED)
    free_precisions = (Precision.BF16,)

    def export(self, source: SourceModel, root: Path, request: ExportRequest) -> Artifact:
        """Writes an artifact; see ``Exporter``. For half precision, the device computes the same graph.

        Raises:
            LoadError: If the module cannot be captured or has an operator that ONNX or OpenVINO lacks; or for ``int8``,
                if there is nothing to calibrate on.
        """
        if source.facts.kind == "openvino-ir":
            return _copy(source, root, request)
        with translated(f"exporting {source.facts.name}", default=LoadError):
            precision = graph_precision(source, request)
            graph = write_graph(source, root, request)
        if request.precision is Precision.INT8:
            files = _quantize(root / graph.files["graph"], root, request)
            return Artifact("openvino", "openvino-ir", request.precision, request.layout, files, graph.signature, root)
        return Artifact("openvino", "onnx", precision, request.layout, graph.files, graph.signature, root)


def _quantize(graph: Path, root: Path, request: ExportRequest) -> dict[str, str]:
    from inferox.backends.openvino.quantization import quantize

    relative = f"backends/openvino/int8-{request.layout.value}"
    (root / relative).parent.mkdir(parents=True, exist_ok=True)
    with translated("quantising to int8", default=LoadError):
        quantize(graph, root / f"{relative}.xml", request)
    return {"graph": f"{relative}.xml", "weights": f"{relative}.bin"}


def _copy(source: SourceModel, root: Path, request: ExportRequest) -> Artifact:
    """Copies an IR unchanged."""
    if source.facts.program is None or request.precision is Precision.INT8:
        raise LoadError("an IR is taken as it is, and not quantised", hint="quantise it yourself, and pack the result")
    files = {"graph": "backends/openvino/model.xml", "weights": "backends/openvino/model.bin"}
    (root / files["graph"]).parent.mkdir(parents=True, exist_ok=True)
    for relative in files.values():
        shutil.copyfile(source.facts.program.with_suffix(Path(relative).suffix), root / relative)
    precision = graph_precision(source, request)
    return Artifact("openvino", "openvino-ir", precision, request.layout, files, request.signature, root)
