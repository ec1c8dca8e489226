"""Writing PyTorch artifacts into a package."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch.export import Dim, ExportedProgram
from torch.fx.experimental.symbolic_shapes import is_concrete_int

from inferox.backends.torch.errors import translated
from inferox.backends.torch.loaders.exported import restore_weights, save_without_weights
from inferox.backends.torch.model import name_outputs
from inferox.backends.torch.packed import PackedModule
from inferox.backends.torch.quantization import require_torchao
from inferox.core import (
    BATCH,
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

_UNLIMITED = 2**31
"""A limit that is none: PyTorch's own for an extent without one is beyond it."""

_ROUGHLY = 1e-3
"""How far a program may be from its module before it counts as another one; parity is measured elsewhere."""

_ROWS = "its code must treat every row alike, whatever their number, and change neither its inputs nor itself"


class TorchExporter(Exporter):
    """Writes what PyTorch itself runs: the weights as they are, or a program."""

    layouts = (Layout.PADDED, Layout.PACKED)

    def export(self, source: SourceModel, root: Path, request: ExportRequest) -> Artifact:
        """Writes an artifact; see ``Exporter``.

        A checkpoint needs no further file: its weights and config are in the package; lower precisions are cast or
        quantised, and the packed layout is made, at load. TorchScript is copied. Everything else becomes an exported
        program without weights.

        Raises:
            LoadError: If the kind of source has no such artifact; if ``torch.export`` cannot capture the module, or not
                for every number of rows; or if the module changes its inputs or itself.
            BackendUnavailableError: If what quantises to ``int8`` is not installed.
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
        # Whether it can be packed is better known now than when it is loaded.
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
    signature = _honest_signature(source.signature, program)
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
    """Saves a program without its weights, and tells whether those of the package make it whole again."""
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
    captured = _with_extent(examples, source.signature, BATCH, 2)
    for dim, extent in _extents(captured, source.signature).items():
        if extent == 1:  # which torch.export takes for a fixed one
            captured = _with_extent(captured, source.signature, dim, 2)
    with torch.no_grad():
        program = torch.export.export(source.module, (), kwargs=captured, dynamic_shapes=dynamic)
        for rows in (1, 3):
            _try_rows(program, source, _with_extent(examples, source.signature, BATCH, rows), rows)
    _check_limit(program, source.signature)
    return program


def _try_rows(program: ExportedProgram, source: SourceModel, inputs: Mapping[str, torch.Tensor], rows: int) -> None:
    """Compares a program with its module for another number of rows than the one it was captured with.

    Where the code branches on the number, a program has the one branch that it was captured in, and does not say so.
    One that writes to its inputs would write to its caller's memory; one that keeps a state fails here too.
    """
    names = source.signature.output_names
    given = {name: value.clone() for name, value in inputs.items()}
    try:
        found = name_outputs(program.module()(**given), names)
        torch.testing.assert_close(given, inputs, rtol=0, atol=0, equal_nan=True)
        expected = name_outputs(source.module(**inputs), names)
        torch.testing.assert_close(found, expected, rtol=_ROUGHLY, atol=_ROUGHLY, equal_nan=True)
    except Exception as error:
        raise LoadError(f"the model was captured for 2 rows, and fails for {rows}", hint=_ROWS) from error


def _check_limit(program: ExportedProgram, signature: Signature) -> None:
    """Refuses a program that only has the branch for few rows."""
    for dim, extent in _captured_extents(signature, program):
        if dim == BATCH and isinstance(extent, torch.SymInt):
            limits = program.range_constraints.get(extent.node.expr)
            if limits is not None and limits.upper < _UNLIMITED:
                raise LoadError(
                    f"the model was captured for 2 rows, and fails for more than {limits.upper}", hint=_ROWS
                )


def _extents(inputs: Mapping[str, torch.Tensor], signature: Signature) -> dict[str, int]:
    """The extent that each named dim has in inputs."""
    return {
        dim: extent
        for spec in signature.inputs
        for dim, extent in zip(spec.dims, inputs[spec.name].shape, strict=True)
        if isinstance(dim, str)
    }


def _with_extent(
    examples: Mapping[str, torch.Tensor], signature: Signature, dim: str, extent: int
) -> dict[str, torch.Tensor]:
    """The examples repeated, or cut off, along a named dim until it has an extent."""
    inputs = dict(examples)
    for spec in signature.inputs:
        for axis in [axis for axis, name in enumerate(spec.dims) if name == dim]:
            value = inputs[spec.name]
            inputs[spec.name] = value.index_select(axis, torch.arange(extent) % value.shape[axis])
    return inputs


def _honest_signature(signature: Signature, program: ExportedProgram) -> Signature:
    """The signature with a number wherever the program turned out to take one extent only.

    Raises:
        LoadError: If that is so for the number of rows.
    """
    fixed = {dim: int(extent) for dim, extent in _captured_extents(signature, program) if is_concrete_int(extent)}
    if BATCH in fixed:
        raise LoadError(f"the program takes {fixed[BATCH]} rows, and no other number", hint=_ROWS)
    return signature.fixed(fixed)


def _captured_extents(signature: Signature, program: ExportedProgram) -> Iterator[tuple[str, int | torch.SymInt]]:
    """What each named dim of the inputs is in a program: a number, or a symbol where it is free."""
    shapes = {node.name: node.meta["val"].shape for node in program.graph.nodes if node.op == "placeholder"}
    for spec, node in zip(signature.inputs, program.graph_signature.user_inputs, strict=True):
        for dim, extent in zip(spec.dims, shapes[str(node)], strict=True):
            if isinstance(dim, str):
                yield dim, extent


def _copy(source: Path, root: Path, name: str) -> str:
    relative = f"{_FOLDER}/{name}"
    target = root / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return relative
