"""Exporting artifacts and measuring each against the reference; what misses its tolerance is taken out again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from inferox.backends.registry import backend_names, get_backend
from inferox.batching import RoutedModel, can_be_packed, pack_batch, packed_signature
from inferox.core import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Artifact,
    Backend,
    BackendError,
    ConfigError,
    DeviceId,
    ExecutionError,
    Exporter,
    ExportRequest,
    Layout,
    LoadOptions,
    Precision,
    Signature,
    SourceModel,
)
from inferox.package import ArtifactEvidence, Limits, ParityClass, Reading, Samples, Tolerance, measure_model

Calls = Sequence[Mapping[str, npt.NDArray[Any]]]
"""Calls of a model: inputs by name, as padded batches."""


@dataclass
class Exported:
    """What came of exporting.

    Attributes:
        artifacts: The artifacts that agree with the reference.
        evidence: How well each of them agrees, in the same order.
        refused: For each that was tried and left out, why.
    """

    artifacts: list[Artifact] = field(default_factory=list)
    evidence: list[ArtifactEvidence] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """What artifacts are measured with.

    Attributes:
        samples: Inputs and the reference's outputs.
        reading: What of the outputs is compared.
        tolerance: What every artifact must reach; what is not stated is what its precision asks for.
    """

    samples: Samples
    reading: Reading
    tolerance: Tolerance | Limits | None = None


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
) -> Exported:
    """Exports a model for several backends, in every precision and layout, and measures what comes.

    Args:
        source: The model.
        root: The folder of the package that is being made; its weights and config lie there already.
        measurement: What artifacts are measured with.
        name: The name of the package.
        exporters: The backends, and what writes artifacts for each.
        precisions: The number formats to export.
        calibration: Calls on which a quantiser may watch the model.
        progress: Told what is being done.
    """
    exported = Exported()
    left_out: list[Artifact] = []
    for backend, exporter in exporters:
        for request in _requests(source, exporter, precisions, calibration):
            if request.precision is Precision.INT8 and _has_packed(exported.artifacts, backend.name):
                continue  # quantised weights are those of one layout: a second copy would do the same, more slowly
            label = f"{backend.name}/{request.precision.value}/{request.layout.value}"
            progress(f"exporting {label}")
            try:
                artifact = exporter.export(source, root, request)
            except BackendError as error:
                exported.refused[label] = str(error)
                continue
            progress(f"measuring {artifact.name}")
            try:
                evidence = _measure(backend, artifact, measurement, source.signature, name)
            except BackendError as error:
                exported.refused[artifact.name] = str(error)
                left_out.append(artifact)
                continue
            exported.artifacts.append(artifact)
            exported.evidence.append(evidence)
    _remove_files(left_out, kept=exported.artifacts)
    return exported


def open_exporters(names: Sequence[str]) -> list[tuple[Backend, Exporter]]:
    """Finds what writes artifacts for some backends.

    Args:
        names: Registered backends.

    Raises:
        BackendNotFoundError: If one is not registered.
        BackendUnavailableError: If one cannot run here, or lacks what it takes to export.
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
    packs = source.facts.kind == "huggingface" and can_be_packed(source.signature)
    for precision in precisions:
        for layout in sorted(exporter.layouts, key=lambda item: item is Layout.PADDED):
            if layout is Layout.PADDED:
                yield ExportRequest(precision, layout, source.signature, calibration)
            elif packs:
                signature = packed_signature(source.signature)
                packed = [pack_batch(call, signature) for call in calibration]
                yield ExportRequest(precision, layout, signature, packed)


def _measure(
    backend: Backend, artifact: Artifact, measurement: Measurement, signature: Signature, name: str
) -> ArtifactEvidence:
    """Measures an artifact.

    Raises:
        BackendError: If it cannot be loaded, fails, or misses its tolerance.
    """
    # The artifact was made from what the operator named as the source a moment ago: it is as trusted as that.
    options = LoadOptions(name, trust_code=True)
    padded = signature if artifact.layout is Layout.PACKED else artifact.signature
    with RoutedModel([backend.load(artifact, None, options)], padded, backend.tensor_builder(DeviceId.cpu())) as model:
        evidence = measure_model(model, artifact, measurement.samples, measurement.reading, measurement.tolerance)
    if evidence.parity_class is ParityClass.FAIL:
        raise ExecutionError(f"it misses its tolerance: {evidence.agreement}")
    return evidence


def _has_packed(artifacts: Sequence[Artifact], backend: str) -> bool:
    wanted = (backend, Precision.INT8, Layout.PACKED)
    return any((artifact.backend, artifact.precision, artifact.layout) == wanted for artifact in artifacts)


def _remove_files(left_out: Sequence[Artifact], *, kept: Sequence[Artifact]) -> None:
    """Removes the files of artifacts that were left out, but for those that others share."""
    shared = {WEIGHTS_FILE, CONFIG_FILE, *(file for artifact in kept for file in artifact.files.values())}
    for artifact in left_out:
        for relative in set(artifact.files.values()) - shared:
            path = artifact.root / relative
            path.unlink(missing_ok=True)
            with suppress(OSError):  # other artifacts may have files there
                path.parent.rmdir()
