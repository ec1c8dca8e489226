"""Measuring a package again, on the machine where it is to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from inferox.backends.registry import get_backend
from inferox.core import (
    Artifact,
    BackendError,
    BackendUnavailableError,
    DeviceId,
    LoadOptions,
    Model,
    NoUsableBackendError,
    PackageError,
    UnsupportedDTypeError,
)
from inferox.engine.loading import Opened
from inferox.engine.selection import ANY_QUALITY, AUTO, Wish, select
from inferox.package import ArtifactEvidence, Limits, ParityClass, Samples, Tolerance, measure_model, open_package


@dataclass(frozen=True)
class Verification:
    """What came of measuring a package again.

    Attributes:
        name: The package's name.
        evidence: How well each artifact that could be run agrees with the stored outputs of the reference.
        not_run: For each artifact that is not for this machine or was not allowed or asked for, why.
        failed: For each artifact whose runtime is here and could not load or compute it, why.
    """

    name: str
    evidence: tuple[ArtifactEvidence, ...]
    not_run: Mapping[str, str]
    failed: Mapping[str, str]

    @property
    def passed(self) -> bool:
        """Whether every artifact that is for this machine computes, and keeps within its tolerance."""
        return not self.failed and all(item.parity_class is not ParityClass.FAIL for item in self.evidence)


def verify(
    path: str | Path,
    backend: str = AUTO,
    device: str | DeviceId | None = None,
    precision: str | None = None,
    *,
    tolerance: Tolerance | Limits | None = None,
    threads: int | None = None,
    trust_code: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Verification:
    """Runs every artifact of a package that can be run here on the package's samples, and measures what comes.

    Args:
        path: A package: a folder, or an ``.mlpkg`` file.
        backend: The only backend to measure, or ``auto`` for all.
        device: Where to run, such as ``cuda:0``; ``None`` for each backend's default device.
        precision: The only precision to measure; ``None`` for all.
        tolerance: What every artifact must reach: some limits by name, such as ``{"cosine_min": 0.97}``, or all. What
            is not stated is what each had to reach when it was packed.
        threads: How many CPU threads each runtime may use; ``None`` for one a core that this process may use.
        trust_code: Whether code that comes with the package may run.
        progress: Told what is being done, one phrase at a time.

    Raises:
        PackageError: If there is no package, it is damaged or unsafe, or it carries no samples.
        BackendNotFoundError: If the backend that is asked for is not registered.
        NoUsableBackendError: If no artifact is for this machine; it lists the reason for each.
        ConfigError: If the device or the precision is none, or the tolerance has no limit of a name.
    """
    wish = Wish.parse(backend, precision, ANY_QUALITY, trust_code=trust_code)
    opened = Opened(open_package(path))
    name, samples = opened.package.metadata.name, opened.samples
    if samples is None:
        raise PackageError(f"{name!r} carries no samples to be measured with", hint="pack the model again")
    wanted = DeviceId.of(device)
    options = LoadOptions(name, threads=threads, trust_code=trust_code)
    evidence: list[ArtifactEvidence] = []
    not_run: dict[str, str] = {}
    failed: dict[str, str] = {}
    for candidate in select(opened.package, wish):
        artifact = candidate.artifact
        if candidate.passed_over is not None:
            not_run[artifact.name] = candidate.passed_over
            continue
        progress(f"measuring {artifact.name}")
        try:
            loaded = get_backend(artifact.backend).load(artifact, wanted, options)
        except (BackendUnavailableError, UnsupportedDTypeError) as error:
            not_run[artifact.name] = str(error)
            continue
        except BackendError as error:
            failed[artifact.name] = str(error)
            continue
        try:
            evidence.append(_measure(opened, artifact, loaded, samples, tolerance))
        except BackendError as error:
            failed[artifact.name] = str(error)
        else:
            if reason := _why_batches_fail(evidence[-1], opened.evidence.get(artifact.name)):
                failed[artifact.name] = reason
    if not evidence and not failed:
        raise NoUsableBackendError(name, not_run, hint="'inferox doctor' says what each backend lacks")
    return Verification(name, tuple(evidence), not_run, failed)


def _measure(
    opened: Opened, artifact: Artifact, loaded: Model, samples: Samples, tolerance: Tolerance | Limits | None
) -> ArtifactEvidence:
    known = opened.evidence.get(artifact.name)
    with opened.view(artifact, loaded) as model:
        reading = opened.task(model.signature).reading(model.signature)
        required = known.tolerance.with_limits(tolerance) if known else tolerance
        found = measure_model(
            model,
            artifact,
            samples,
            reading,
            required,
            beside_others=True,
            distributions=get_backend(artifact.backend).distributions,
        )
    found = replace(found, is_reference=known is not None and known.is_reference)
    if found.batch is None or known is None or known.batch is None:
        return found
    # The model itself is not here to be asked whether it depends on the batch as well; that was found when packing.
    return replace(found, batch=replace(found.batch, inherent=known.batch.inherent))


def _why_batches_fail(found: ArtifactEvidence, known: ArtifactEvidence | None) -> str | None:
    """Why an artifact fails that was batch invariant when it was packed; ``None`` where it does not."""
    if found.batch is None or found.batch.holds or known is None or known.batch is None or not known.batch.holds:
        return None
    return f"it {found.batch}, and was batch invariant when it was packed"
