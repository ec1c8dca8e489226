"""The packing of a model: source, reference, artifacts, evidence, package."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inferox.core import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Backend,
    ConfigError,
    Dim,
    Exporter,
    PackageError,
    Precision,
    SourceModel,
)
from inferox.package import FORMAT_VERSION, Metadata, ModelInfo, PackageWriter
from inferox.packing.artifacts import Exported, Measurement, export_artifacts, open_exporters
from inferox.packing.calibration import make_calibration
from inferox.packing.mates import make_probes
from inferox.packing.notes import list_notes
from inferox.packing.proof import prove
from inferox.packing.reference import compute_samples, keep_common, uses_task_samples
from inferox.packing.vector_settings import check_matryoshka_dims, measure_vector_ranges
from inferox.parity import ArtifactEvidence, InputProof, Limits, ParityReport, ProofStatus, Tolerance, save_proof
from inferox.sources import open_source
from inferox.tasks import TaskChoice, choose_task, open_task


@dataclass(frozen=True)
class PackReport:
    """The result of ``pack()``.

    Attributes:
        path: The package.
        name: Its name.
        task: Its task.
        size_bytes: Its size on disk.
        evidence: The agreement of each artifact with the reference.
        proof: The extent to which answers are proven from text or image, against the library that defines the model.
        refused: The reason for each artifact that was tried and left out.
        left_out_weights: Weights of the checkpoint that the model does not use.
        notes: Further facts that whoever packs the model should know, as sentences.
    """

    path: Path
    name: str
    task: str
    size_bytes: int
    evidence: tuple[ArtifactEvidence, ...]
    proof: InputProof
    refused: Mapping[str, str]
    left_out_weights: tuple[str, ...]
    notes: tuple[str, ...] = ()


def pack(
    source: str | Path | Callable[..., Any],
    output: str | Path,
    *,
    task: str | None = None,
    name: str | None = None,
    backends: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    calibration: str | Path | None = None,
    matryoshka_dims: Sequence[int] | None = None,
    vector_ranges: bool = False,
    tolerance: Tolerance | Limits | None = None,
    strict: bool = False,
    samples: str | Path | None = None,
    example_inputs: Any = None,
    dims: Mapping[str, Sequence[Dim]] | None = None,
    dynamic_shapes: Any = None,
    trust_code: bool = False,
    force: bool = False,
    progress: Callable[[str], None] | None = None,
) -> PackReport:
    """Packs a model: loads it, exports it, measures every artifact against it, and writes the package.

    Args:
        source: A Hugging Face model directory, ``hf://org/name[@revision]``, a TorchScript file, an exported program,
            an ONNX file, OpenVINO IR (``.xml``), ``python:module:factory``, a function that returns a
            ``torch.nn.Module`` (with example inputs), or a ``torch.nn.Module``.
        output: The package to write: one file if the name ends in ``.mlpkg``, otherwise a folder.
        task: The task; ``None`` to detect it from the model's own files.
        name: The package's name; ``None`` for the source's own.
        backends: The backends to write artifacts for, such as ``torch`` and ``onnxruntime``; ``None`` for the one that
            computes the source itself. All read the same weights.
        precisions: The precisions to write artifacts in: ``fp32``, ``bf16``, ``fp16``, ``int8``; ``None`` for ``fp32``
            and those that take no extra space: ``bf16`` with OpenVINO, if it is ``close``.
        calibration: The data to calibrate ``int8`` on: for text models, a file with one text per line, ideally like
            those that the model will see; ``None`` for varied built-in texts or images, or for variations of the
            example inputs that came with the model. Never the samples on which it is measured, except example inputs
            that are only masks.
        matryoshka_dims: The lengths to which a text encoder's vectors may be cut on request, if it was trained for
            that; ``None`` for those in ``matryoshka_dimensions`` of its ``config.json``, if there are any.
        vector_ranges: Whether to measure the range of each number of a text encoder's vectors on the calibration
            texts, for vectors in int8 and uint8.
        tolerance: The tolerance that every artifact must meet to enter the package: some limits by name, such as
            ``{"cosine_min": 0.97}``, or all. Limits that are not stated follow from its precision.
        strict: Whether an artifact that cannot be made, or misses its tolerance, makes packing fail, and likewise if no
            library is installed that could prove the package from text or image.
        samples: A file of example inputs by name (``.npz`` or ``.safetensors``), for sources without their own.
        example_inputs: The example inputs of a ``torch.nn.Module``: by name, a tuple in the order of its parameters (as
            ``torch.export`` takes them), or a single one.
        dims: The dims of inputs by name, such as ``{"x": ("batch", 3, 224, 224)}``, if the default (the first axis is
            ``batch``, the others are fixed) does not fit.
        dynamic_shapes: The same for a ``torch.nn.Module``, in the form that ``torch.export.export`` takes: for each
            input, a dict from an axis to a ``torch.export.Dim``. An axis that is not named is fixed.
        trust_code: Whether a source that is code (TorchScript, an exported program) may be loaded.
        force: Whether an existing package at ``output`` may be replaced.
        progress: Called with the current step, as a phrase.

    Returns:
        The report of what was written, its evidence, and what was left out.

    Raises:
        PackageError: If the source is not a model or is damaged, if no artifact agrees with the reference (with
            ``strict``, if one does not), if there is nothing to calibrate on, or if the package cannot be written.
        DisagreementError: If the package would not give the answers of the library that defines the model. No option
            overrides that.
        UntrustedCodeError: If the source is code and ``trust_code`` is not set.
        BackendNotFoundError: If a backend is not registered.
        BackendUnavailableError: If a backend cannot run here.
        ConfigError: If the task or a precision is not valid, if the tolerance names an unknown limit, if
            ``calibration`` would not be used, if a setting of vectors does not fit the model, or if ``output`` exists
            and ``force`` is not set.
    """
    report = progress or (lambda _: None)
    for what, names in (("backends", backends), ("precisions", precisions)):
        if isinstance(names, str):
            raise ConfigError(f"{what} must be a list of names, but is {names!r}", hint=f"give {names.split(',')}")
    wanted = [Precision.FP32] if precisions is None else _parse_precisions(precisions)
    needs_calibration = vector_ranges or Precision.INT8 in wanted
    if calibration is not None and not needs_calibration:
        raise ConfigError(
            "calibration texts are given, but only int8 and the ranges of vectors are calibrated",
            hint="add int8 to the precisions, or leave out the texts",
        )
    created_at = _created_at()
    # If none is named, the runtime of an ONNX file is known only once the file is open.
    exporters = None if backends is None else open_exporters(backends)
    with PackageWriter(Path(output), force=force) as writer:
        report("loading the model")
        model = open_source(
            source,
            task=task,
            samples=None if samples is None else Path(samples),
            example_inputs=example_inputs,
            dims=dims,
            dynamic_shapes=dynamic_shapes,
            trust_code=trust_code,
            progress=report,
        )
        exporters = open_exporters([model.backend]) if exporters is None else exporters
        choice = choose_task(model.facts.directory, model.facts.config, model.signature, task=task)
        report("writing the weights")
        _write_files(model, choice, writer.root)
        opened = open_task(choice.name, choice.options, writer.root, model.signature)
        if matryoshka_dims is not None:
            choice.options["matryoshka_dims"] = check_matryoshka_dims(opened, matryoshka_dims)
        calls = make_calibration(model, opened, calibration) if needs_calibration else ()
        if vector_ranges:
            report("measuring the ranges of the vectors")
            choice.options["vector_ranges"] = measure_vector_ranges(model, opened, calls)
        report("computing the reference")
        references = compute_samples(model, opened)
        references = replace(references, probes=make_probes(model, opened, references))
        proven = prove(model, opened, report)
        _require_proof(proven.proof, strict=strict)
        if proven.cases:
            save_proof(proven.cases, writer.root)
        label = name or model.facts.name
        exported = export_artifacts(
            model,
            writer.root,
            Measurement(
                references, opened.parity_target(model.signature), tolerance, complete=uses_task_samples(model, opened)
            ),
            name=label,
            exporters=exporters,
            precisions=wanted,
            calibration=calls if Precision.INT8 in wanted else (),
            progress=report,
            with_free=precisions is None,
        )
        _require_artifacts(label, exported, strict=strict)
        _require_own(model, exported, exporters)
        stored, evidence = keep_common(references, exported.artifacts, exported.evidence)
        report("writing the package")
        path = writer.commit(
            _metadata(model, label, created_at),
            _model_info(model, choice, exported),
            ParityReport(
                evidence, proven.proof, {artifact.name: reason for artifact, reason in exported.free.unmeasured}
            ),
            stored,
        )
    notes = list_notes(model, choice, exported, calls, asked=task is not None, calibrated=calibration is not None)
    return PackReport(
        path=path,
        name=label,
        task=choice.name,
        size_bytes=_size_bytes(path),
        evidence=evidence,
        proof=proven.proof,
        refused=exported.refused,
        left_out_weights=model.facts.left_out,
        notes=(*model.facts.notes, *notes),
    )


def _require_proof(proof: InputProof, *, strict: bool) -> None:
    if strict and proof.status is ProofStatus.NOT_PROVEN:
        raise PackageError(
            f"the package would not be proven from {proof.source}: {proof.reason}",
            hint="pack it without strict, and the package will say so",
        )


def _size_bytes(package: Path) -> int:
    files = [package] if package.is_file() else [path for path in package.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files)


def _parse_precisions(names: Sequence[str]) -> list[Precision]:
    wanted = [Precision.parse(name) for name in dict.fromkeys(names)]
    if not wanted:
        raise ConfigError("no precision is named to write artifacts in")
    return wanted


def _write_files(model: SourceModel, choice: TaskChoice, root: Path) -> None:
    weights = root / WEIGHTS_FILE
    weights.parent.mkdir()
    if not model.save_weights(weights):
        weights.parent.rmdir()
    if model.facts.config:
        (root / CONFIG_FILE).write_text(
            json.dumps(model.facts.config, indent=2, sort_keys=True) + "\n", encoding="utf-8"
        )
    if model.facts.directory is None:
        return
    for relative in choice.files:
        if not (model.facts.directory / relative).is_file():
            raise PackageError(
                f"the task {choice.name} needs {relative}, which the model does not have",
                hint="copy the files of its tokenizer beside it; or pack it with --task raw, which takes tensors",
            )
        target = root / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model.facts.directory / relative, target)


def _require_artifacts(name: str, exported: Exported, *, strict: bool) -> None:
    reasons = "; ".join(f"{artifact}: {reason}" for artifact, reason in exported.refused.items())
    if not exported.artifacts:
        raise PackageError(f"packing {name!r} made no artifact that can run it: {reasons}")
    if strict and exported.refused:
        raise PackageError(
            f"{name!r} is not packed, as not every requested artifact could be made: {reasons}",
            hint="pack it without strict to keep those that agree",
        )


def _require_own(model: SourceModel, exported: Exported, exporters: Sequence[tuple[Backend, Exporter]]) -> None:
    """Refuses a package that the model's own runtime cannot run, if that runtime was requested."""
    own = model.backend
    asked = own in {backend.name for backend, _ in exporters}
    if asked and own not in {artifact.backend for artifact in exported.artifacts}:
        reasons = [reason for artifact, reason in exported.refused.items() if artifact.startswith(f"{own}/")]
        raise PackageError(
            f"{own}, the runtime of {model.facts.name!r} itself, cannot run any artifact that was made: "
            f"{'; '.join(reasons)}",
            hint=f"leave {own} out of the backends to pack it for the others alone",
        )


def _created_at() -> str:
    """Returns the current time, or the one that the environment states for reproducible packages."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        created = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigError(f"SOURCE_DATE_EPOCH must be a number of seconds since 1970, but is {epoch!r}") from error
    return created.isoformat(timespec="seconds")


def _metadata(model: SourceModel, name: str, created_at: str) -> Metadata:
    return Metadata(
        format_version=FORMAT_VERSION,
        name=name,
        version="1",
        repo_id=model.facts.repo_id,
        revision=model.facts.revision,
        created_at=created_at,
        license=model.facts.license,
        files=(),
    )


def _model_info(model: SourceModel, choice: TaskChoice, exported: Exported) -> ModelInfo:
    facts = model.facts
    return ModelInfo(
        model_type=facts.model_type,
        repo_id=facts.repo_id,
        architecture_family=facts.architecture_family,
        supported_backends=tuple(dict.fromkeys(artifact.backend for artifact in exported.artifacts)),
        task=choice.name,
        task_options=choice.options,
        signature=model.signature,
        hidden_size=_first_number(facts.config, "hidden_size", "dim", "d_model"),
        num_layers=_first_number(facts.config, "num_hidden_layers", "n_layers", "num_layers"),
        vocab_size=_first_number(facts.config, "vocab_size"),
        num_parameters=model.num_parameters,
        artifacts=(*exported.artifacts, *(artifact for artifact, _ in exported.free.unmeasured)),
    )


def _first_number(config: Mapping[str, Any], *keys: str) -> int | None:
    """Reads a number that architectures state under different names: the first one present."""
    return next((config[key] for key in keys if isinstance(config.get(key), int)), None)
