"""The writer of PyTorch's artifacts."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim, ExportedProgram

from inferox.backends.torch.captured import capturing, check_limit, check_rows, examples_to_capture, honest_signature
from inferox.backends.torch.errors import translated
from inferox.backends.torch.loaders.exported import restore_weights, save_without_weights
from inferox.backends.torch.quantization import require_torchao
from inferox.core import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Artifact,
    Exporter,
    ExportRequest,
    Layout,
    LoadError,
    Precision,
    Signature,
    SourceModel,
)

_FOLDER = "backends/torch"

_KINDS = frozenset({"huggingface", "python", "torch-export", "torchscript"})


class TorchExporter(Exporter):
    """Writes artifacts that PyTorch itself runs: the weights unchanged, or a program."""

    layouts = (Layout.PADDED, Layout.PACKED)

    def export(self, source: SourceModel, root: Path, request: ExportRequest) -> Artifact:
        """Writes an artifact; see ``Exporter``.

        A checkpoint needs no further file: its weights and config are in the package; it is cast or quantised to lower
        precisions, and converted to the packed layout, when it is loaded. TorchScript is copied. Everything else
        becomes an exported program without weights.

        Raises:
            LoadError: If the kind of source has no such artifact; if ``torch.export`` cannot capture the module, or
                cannot do so for every number of rows; or if the module modifies its inputs or itself.
            BackendUnavailableError: If the library that quantises to ``int8`` is not installed.
        """
        kind, precision = source.facts.kind, request.precision
        if kind not in _KINDS:
            raise LoadError(f"torch does not run graphs in the format {kind}")
        if kind == "huggingface":
            return _checkpoint(source, root, request)
        if precision is not Precision.FP32 or request.layout is not Layout.PADDED:
            raise LoadError(f"a {kind} program runs as it was captured, in fp32 and padded")
        with translated(f"exporting {source.facts.name}", default=LoadError):
            return _torchscript(source, root) if kind == "torchscript" else _exported(source, root)


def _artifact(
    source: SourceModel, root: Path, format_: str, files: Mapping[str, str], signature: Signature | None = None
) -> Artifact:
    return Artifact(
        backend="torch",
        format=format_,
        precision=Precision.FP32,
        layout=Layout.PADDED,
        files=files,
        signature=signature or source.signature,
        root=root,
    )


def _checkpoint(source: SourceModel, root: Path, request: ExportRequest) -> Artifact:
    if request.precision is Precision.INT8:
        require_torchao()
    if request.layout is Layout.PACKED:
        from inferox.backends.torch.packed import PackedModule  # which imports transformers

        # Fail now rather than at load time if it cannot be packed.
        PackedModule(source.module, request.signature).release()
    files = {"config": CONFIG_FILE, "weights": WEIGHTS_FILE}
    return Artifact(
        backend="torch",
        format="safetensors",
        precision=request.precision,
        layout=request.layout,
        files=files,
        signature=request.signature,
        root=root,
        options={"architecture": source.facts.architecture},
    )


def _torchscript(source: SourceModel, root: Path) -> Artifact:
    if source.facts.program is None:
        raise LoadError(f"the source {source.facts.name} is TorchScript without a file")
    return _artifact(source, root, "torchscript", {"program": _copy(source.facts.program, root, "model.pt")})


def _exported(source: SourceModel, root: Path) -> Artifact:
    given = source.facts.program
    program = torch.export.load(given) if given else _capture(source)
    signature = honest_signature(program, source.signature)
    relative = f"{_FOLDER}/model.pt2"
    files = {"program": relative}
    if _can_be_stripped(program, root / relative, root / WEIGHTS_FILE):
        files["weights"] = WEIGHTS_FILE
    elif given:
        _copy(given, root, "model.pt2")
    else:
        torch.export.save(program, root / relative)
    return _artifact(source, root, "torch-export", files, signature)


def _can_be_stripped(program: ExportedProgram, path: Path, weights: Path) -> bool:
    """Saves a program without its weights, and returns whether the package's weights restore it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not program.state_dict or not weights.is_file():
        return False
    try:
        with translated(f"saving {path.name} without weights", default=LoadError):
            save_without_weights(program, path)
            restore_weights(torch.export.load(path), weights, torch.device("cpu"))
    except LoadError:
        return False
    return True


def _capture(source: SourceModel) -> ExportedProgram:
    if source.example_inputs is None:
        raise LoadError(f"the source {source.facts.name} has no example inputs to be captured with")
    examples = {name: torch.from_numpy(value.copy()) for name, value in source.example_inputs.items()}
    dynamic = {
        spec.name: {axis: Dim.AUTO for axis, dim in enumerate(spec.dims) if isinstance(dim, str)}
        for spec in source.signature.inputs
    }
    captured = examples_to_capture(examples, source.signature)

    def run(inputs: Mapping[str, torch.Tensor]) -> Any:
        given = {name: value.clone() for name, value in inputs.items()}
        returned = program.module()(**given)
        # A program that modifies its inputs would modify its caller's memory.
        torch.testing.assert_close(given, inputs, rtol=0, atol=0, equal_nan=True)
        return returned

    with torch.no_grad():
        with capturing():
            program = torch.export.export(source.module, (), kwargs=captured, dynamic_shapes=dynamic)
        check_rows(run, lambda inputs: source.module(**inputs), captured, source.signature)
    check_limit(program, source.signature)
    return program


def _copy(source: Path, root: Path, name: str) -> str:
    relative = f"{_FOLDER}/{name}"
    target = root / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return relative
