"""The export of artifacts, each measured against the reference; one that misses its tolerance is removed again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy.typing as npt

from inferox.backends.registry import backend_names, get_backend
from inferox.core import (
    WEIGHTS_FILE,
    Artifact,
    Backend,
    BackendError,
    ConfigError,
    ExecutionError,
    Exporter,
    ExportRequest,
    InferoxError,
    Layout,
    LoadOptions,
    Precision,
    SourceModel,
    can_be_packed,
    pack_batch,
    packed_signature,
    read_padded,
)
from inferox.packing.free_precisions import FreeArtifacts, make_free
from inferox.packing.reference import taken_samples
from inferox.parity import (
    TOLERANCES,
    ArtifactEvidence,
    BatchInvariance,
    Limits,
    ParityClass,
    ParityTarget,
    Samples,
    Tolerance,
    as_inherent,
    measure_invariance,
    measure_model,
)

_PACK_AGAIN = "pack the model again"

Calls = Sequence[Mapping[str, npt.NDArray[Any]]]
"""Calls of a model: inputs by name, as padded batches."""


@dataclass
class Exported:
    """The result of exporting.

    Attributes:
        artifacts: The artifacts that agree with the reference.
        evidence: The evidence of each of them, in the same order.
        refused: The reason for each that was tried and left out.
        free: The result for the precisions that take no extra space; those worth including are among the artifacts.
    """

    artifacts: list[Artifact] = field(default_factory=list)
    evidence: list[ArtifactEvidence] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    free: FreeArtifacts = field(default_factory=FreeArtifacts)


@dataclass(frozen=True)
class Measurement:
    """The samples and rules by which artifacts are measured.

    Attributes:
        samples: Inputs and the reference's outputs.
        parity_target: The part of the outputs to compare.
        tolerance: The tolerance that every artifact must meet; limits that are not stated follow from its precision.
        complete: Whether an artifact must accept every sample: a task's samples show what its items look like, so an
            artifact that cannot take them all is of no use to the task.
    """

    samples: Samples
    parity_target: ParityTarget
    tolerance: Tolerance | Limits | None = None
    complete: bool = True


def export_artifacts(
    source: SourceModel,
    root: Path,
    measurement: Measurement,
    *,
    name: str,
    exporters: Sequence[tuple[Backend, Exporter]],
    precisions: Sequence[Precision],
    calibration: Calls,
    progress: Callable[[str], None],
    with_free: bool = False,
) -> Exported:
    """Exports a model for several backends, in every precision and layout, and measures the artifacts.

    Args:
        source: The model.
        root: The folder of the package that is being made, which already has its weights and config.
        measurement: The samples and rules for the measurement.
        name: The name of the package.
        exporters: The backends, and the exporter of each.
        precisions: The precisions to export.
        calibration: Calls with which a quantiser may observe the model.
        progress: Called with the current step, as a phrase.
        with_free: Whether to add artifacts that take no extra space: the files of fp32 artifacts in each exporter's
            ``free_precisions``.
    """
    exported = Exported()

    @cache
    def measure_source() -> BatchInvariance | None:
        outputs = [batch.outputs for batch in measurement.samples.batches]
        return measure_invariance(
            source.compute, measurement.samples, outputs, source.signature, measurement.parity_target
        )

    def measure(backend: Backend, by: Measurement, artifact: Artifact) -> ArtifactEvidence:
        return _judge_batches(_measure(backend, artifact, by, name), artifact, measure_source)

    # Unlike the task's files, weights are only used by artifacts, and quantised ones may have their own.
    given = _list_files(root) - {WEIGHTS_FILE}
    for backend, exporter in exporters:
        for request in _requests(source, exporter, precisions, calibration):
            if request.precision is Precision.INT8 and _has_weights_of_its_own(exported.artifacts, backend.name):
                continue  # they equal those of the packed layout: a second copy would do the same, more slowly
            label = f"{backend.name}/{request.precision.value}/{request.layout.value}"
            progress(f"exporting {label}")
            try:
                artifact = exporter.export(source, root, request)
            except BackendError as error:
                exported.refused[label] = _why(error)
                continue
            progress(f"measuring {artifact.name}")
            try:
                evidence = measure(backend, measurement, artifact)
            except InferoxError as error:
                exported.refused[artifact.name] = _why(error)
                continue
            exported.artifacts.append(artifact)
            exported.evidence.append(replace(evidence, is_reference=_is_reference(artifact, source)))
        for artifact in make_free(exporter, exported.artifacts, backend) if with_free else ():
            progress(f"measuring {artifact.name}")
            exported.free.add(artifact, backend, partial(measure, backend, _for_free(measurement)))
    exported.artifacts += exported.free.artifacts
    exported.evidence += exported.free.evidence
    used = {file for artifact in exported.artifacts for file in artifact.files.values()}
    _remove_files(root, _list_files(root) - given - used)
    return exported


def _for_free(measurement: Measurement) -> Measurement:
    """Returns the measurement of an artifact that nobody requested: it must be ``close``, here and wherever it runs."""
    return replace(measurement, tolerance=TOLERANCES[ParityClass.CLOSE].with_limits(measurement.tolerance))


def finds_last_token(source: SourceModel) -> bool:
    """Returns whether a transformers class finds the last token of each row by its padding, as classifying decoders do.

    Such a model would find one last token in several rows that lie end to end.

    Args:
        source: The model.
    """
    decodes = source.facts.architecture_family == "DecoderOnly"
    return decodes and (source.facts.architecture or "").endswith("ForSequenceClassification")


def _is_reference(artifact: Artifact, source: SourceModel) -> bool:
    """Returns whether an artifact is the one that computed the reference: same runtime, precision and layout."""
    same = artifact.backend == source.backend and artifact.precision is source.precision
    return same and artifact.layout is Layout.PADDED


def _why(error: InferoxError) -> str:
    """Returns an error's text without the advice to pack the model, which is what is being done."""
    return error.message if error.hint is not None and _PACK_AGAIN in error.hint else str(error)


def open_exporters(names: Sequence[str]) -> list[tuple[Backend, Exporter]]:
    """Finds the exporters of some backends.

    Args:
        names: Registered backends.

    Raises:
        BackendNotFoundError: If one is not registered.
        BackendUnavailableError: If one cannot run here, or lacks what it needs to export.
        ConfigError: If none is named, or one only reads artifacts.
    """
    if not names:
        raise ConfigError(
            "no backend is named to write artifacts for", hint=f"use some of {', '.join(backend_names())}"
        )
    found = []
    for name in dict.fromkeys(names):
        backend = get_backend(name)
        backend.require()
        exporter = backend.exporter()
        if exporter is None:
            raise ConfigError(f"the backend {name} only reads artifacts, and writes none")
        found.append((backend, exporter))
    return found


def _requests(
    source: SourceModel, exporter: Exporter, precisions: Sequence[Precision], calibration: Calls
) -> Iterator[ExportRequest]:
    packs = source.facts.kind == "huggingface" and can_be_packed(source.signature) and not finds_last_token(source)
    for precision in precisions:
        for layout in sorted(exporter.layouts, key=lambda item: item is Layout.PADDED):
            if layout is Layout.PADDED:
                yield ExportRequest(precision, layout, source.signature, calibration)
            elif packs:
                signature = source.signature
                packed = [pack_batch(read_padded(call, signature)[0], signature) for call in calibration]
                yield ExportRequest(precision, layout, packed_signature(signature), packed)


def _measure(backend: Backend, artifact: Artifact, measurement: Measurement, name: str) -> ArtifactEvidence:
    """Measures an artifact.

    Raises:
        BackendError: If it cannot be loaded, takes none of the samples, fails, or misses its tolerance.
    """
    # The artifact was just made from the source that the operator named, and is as trusted as that.
    options = LoadOptions(name, trust_code=True)
    samples = taken_samples(measurement.samples, artifact.padded_signature)
    needed = len(measurement.samples.batches) if measurement.complete else 1
    if len(samples.batches) < needed:
        taken = ", ".join(map(str, artifact.padded_signature.inputs))
        raise ExecutionError(f"it was captured only for {taken}, but the samples have other shapes")
    with backend.load(artifact, None, options) as model:
        evidence = measure_model(
            model,
            artifact,
            samples,
            measurement.parity_target,
            measurement.tolerance,
            beside_others=True,
            distributions=backend.distributions,
        )
    if evidence.parity_class is ParityClass.FAIL:
        raise ExecutionError(f"it misses its tolerance: {evidence.agreement}")
    return evidence


def _judge_batches(
    evidence: ArtifactEvidence, artifact: Artifact, measure_source: Callable[[], BatchInvariance | None]
) -> ArtifactEvidence:
    """Decides whether an artifact whose rows depend on their batch may be written.

    It may if the model itself depends on the batch, and in int8, which was requested by name.

    Args:
        evidence: The evidence of the artifact.
        artifact: The artifact.
        measure_source: Measures the model itself.

    Returns:
        The evidence, which records whether the model itself depends on the batch.

    Raises:
        ExecutionError: If it may not be written.
    """
    if evidence.batch is None or evidence.batch.holds:
        return evidence
    of_model = measure_source()
    if of_model is not None and not of_model.holds:
        return replace(evidence, batch=as_inherent(evidence.batch))
    if artifact.precision is Precision.INT8:
        return evidence
    raise ExecutionError(f"it {evidence.batch}, but the model itself does not")


def _has_weights_of_its_own(artifacts: Sequence[Artifact], backend: str) -> bool:
    """Returns whether a backend has a packed int8 artifact with weights of its own, quantised when it was made."""
    wanted = (backend, Precision.INT8, Layout.PACKED)
    return any(
        (artifact.backend, artifact.precision, artifact.layout) == wanted
        and WEIGHTS_FILE not in artifact.files.values()
        for artifact in artifacts
    )


def _list_files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def _remove_files(root: Path, files: Iterable[str]) -> None:
    """Removes files that no artifact needs, left by refused or failed exports and intermediate steps."""
    for relative in files:
        path = root / relative
        path.unlink()
        for folder in path.parents[: len(Path(relative).parents) - 1]:
            with suppress(OSError):  # it is not empty
                folder.rmdir()
