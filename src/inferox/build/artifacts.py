"""Exporting artifacts and measuring each against the reference; what misses its tolerance is taken out again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inferox.backends.registry import backend_names, get_backend, probe_backend
from inferox.core import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Artifact,
    Backend,
    BackendError,
    BackendUnavailableError,
    ConfigError,
    Exporter,
    LoadOptions,
    Precision,
    SourceModel,
)
from inferox.package import ArtifactEvidence, ParityClass, Samples, measure_model


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


def export_artifacts(
    source: SourceModel,
    samples: Samples,
    root: Path,
    *,
    name: str,
    exporters: Sequence[tuple[Backend, Exporter]],
    precisions: Sequence[Precision],
    progress: Callable[[str], None],
) -> Exported:
    """Exports a model for several backends, in every precision, and measures what comes.

    Args:
        source: The model.
        samples: Inputs and the reference's outputs.
        root: The folder of the package that is being made; its weights and config lie there already.
        name: The name of the package.
        exporters: The backends, and what writes artifacts for each.
        precisions: The number formats to export.
        progress: Told what is being done.
    """
    exported = Exported()
    for backend, exporter in exporters:
        for precision in precisions:
            progress(f"exporting for {backend.name} in {precision.value}")
            for artifact in _export(
                exporter, source, root, precision, label=f"{backend.name}/{precision.value}", refused=exported.refused
            ):
                progress(f"measuring {artifact.name}")
                _measure(backend, artifact, samples, name, exported)
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
        backend, availability = get_backend(name), probe_backend(name)
        if not availability.available:
            raise BackendUnavailableError(
                f"the backend {name} cannot run here: {availability.reason}", hint=availability.hint
            )
        exporter = backend.exporter()
        if exporter is None:
            raise ConfigError(f"the backend {name} only reads artifacts, and writes none")
        found.append((backend, exporter))
    return found


def _export(
    exporter: Exporter, source: SourceModel, root: Path, precision: Precision, *, label: str, refused: dict[str, str]
) -> Sequence[Artifact]:
    try:
        artifacts = exporter.export(source, root, precision)
    except BackendError as error:
        refused[label] = str(error)
        return []
    if not artifacts:
        refused[label] = f"it cannot represent a {source.facts.kind} model in this precision"
    return artifacts


def _measure(backend: Backend, artifact: Artifact, samples: Samples, name: str, exported: Exported) -> None:
    # The artifact was made from what the operator named as the source a moment ago: it is as trusted as that.
    options = LoadOptions(name, trust_code=True)
    try:
        with backend.load(artifact, None, options) as model:
            evidence = measure_model(model, artifact, samples)
    except BackendError as error:
        exported.refused[artifact.name] = str(error)
        _remove_files(artifact)
        return
    if evidence.parity_class is ParityClass.FAIL:
        exported.refused[artifact.name] = f"it misses its tolerance: {evidence.agreement}"
        _remove_files(artifact)
        return
    exported.artifacts.append(artifact)
    exported.evidence.append(evidence)


def _remove_files(artifact: Artifact) -> None:
    for relative in artifact.files.values():
        if relative not in {WEIGHTS_FILE, CONFIG_FILE}:
            (artifact.root / relative).unlink(missing_ok=True)
