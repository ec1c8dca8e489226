"""The artifacts of a package that may be loaded, and the order in which they are tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from inferox.backends.registry import backend_names, get_backend
from inferox.core import (
    Artifact,
    BackendNotFoundError,
    ConfigError,
    DeviceId,
    InferoxError,
    Layout,
    Precision,
    TrustTier,
    first_line,
)
from inferox.loading.context import artifact_border
from inferox.package import Package
from inferox.parity import ArtifactEvidence, ParityClass, ParityReport

_PACKAGED_CODE = "code that comes with the package"

AUTO = "auto"
"""The name that leaves the choice to Inferox."""

QUALITIES = {
    "exact": (ParityClass.EXACT,),
    "close": (ParityClass.EXACT, ParityClass.CLOSE),
    "quantized": (ParityClass.EXACT, ParityClass.CLOSE, ParityClass.QUANTIZED),
}
"""The parity classes that each quality allows."""

DEFAULT_QUALITY = "close"
"""The quality if neither a quality nor a precision is requested."""

BACKEND_ORDER = ("openvino", "onnxruntime", "torch", "candle")
"""The order of backends on a CPU without measurements: the fastest to start and to compute come first."""

_GPU_ORDER = ("torch", "openvino", "onnxruntime", "candle")
"""The order on a machine with an NVIDIA GPU, which only PyTorch uses among these."""

_NVIDIA_DRIVER = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/proc/driver/nvidia/version"))
"""Files of NVIDIA's driver. Looking for them takes no time, whereas importing PyTorch to ask takes seconds."""


@dataclass(frozen=True)
class Candidate:
    """An artifact and whether it may be tried.

    Attributes:
        artifact: The artifact.
        rejected: Why it is not tried; ``None`` if it is.
        needs_trust: Whether only the operator's trust is missing.
    """

    artifact: Artifact
    rejected: str | None
    needs_trust: bool = False


@dataclass(frozen=True)
class Requirements:
    """An operator's requirements for the artifact to load.

    Attributes:
        backend: A registered backend, or ``auto``.
        precision: The only acceptable precision; ``None`` for any.
        quality: The worst acceptable parity class. ``None`` accepts ``close`` or better; if a precision is requested,
            it accepts any class, known or not.
        trust_code: Whether code that comes with the package may run.
        to_measure: Whether the artifacts are to be measured: then any quality is acceptable, known or not.
        device: The device to load on; ``None`` for each backend's default device.
    """

    backend: str = AUTO
    precision: Precision | None = None
    quality: str | None = None
    trust_code: bool = False
    to_measure: bool = False
    device: DeviceId | None = None

    @classmethod
    def parse(
        cls,
        backend: str = AUTO,
        precision: str | None = None,
        quality: str | None = None,
        *,
        trust_code: bool = False,
        to_measure: bool = False,
        device: str | DeviceId | None = None,
    ) -> Requirements:
        """Parses requirements from their names.

        Raises:
            BackendNotFoundError: If the backend is not registered.
            ConfigError: If there is no such precision, quality or device.
        """
        if backend != AUTO and backend not in backend_names():
            raise BackendNotFoundError(backend, backend_names())
        if quality not in {None, *QUALITIES}:
            raise ConfigError(f"there is no quality {quality!r}", hint=f"use one of {', '.join(QUALITIES)}")
        parsed = None if precision is None else Precision.parse(precision)
        return cls(backend, parsed, quality, trust_code, to_measure, DeviceId.of(device))

    @property
    def classes(self) -> tuple[ParityClass, ...]:
        """The acceptable parity classes."""
        if self.to_measure:
            return QUALITIES["quantized"]
        default = DEFAULT_QUALITY if self.precision is None else "quantized"
        return QUALITIES[self.quality or default]

    @property
    def takes_unmeasured(self) -> bool:
        """True if an artifact that could not be measured at pack time is acceptable."""
        return self.to_measure or (self.quality is None and self.precision is not None)

    @property
    def needs_evidence(self) -> bool:
        """True if an artifact whose parity is not known is rejected."""
        return self.quality is not None and not self.to_measure


@dataclass(frozen=True)
class _Known:
    """The known parity of an artifact.

    Attributes:
        evidence: The evidence from pack time; ``None`` if there is none.
        unmeasured: Why it could not be measured then; ``None`` if it could, or the reason was not recorded.
        here: Its class as measured on this machine; ``None`` if it was not.
    """

    evidence: ArtifactEvidence | None
    unmeasured: str | None
    here: ParityClass | None

    @property
    def parity_class(self) -> ParityClass | None:
        """The worst class that was measured. An artifact that was not measured at pack time is ``close`` at best."""
        packed = None if self.evidence is None else self.evidence.parity_class
        if packed is None and self.unmeasured is not None:
            packed = self.here and ParityClass.CLOSE
        found = [item for item in (packed, self.here) if item is not None]
        return max(found, key=list(ParityClass).index, default=None)


def select(
    package: Package, requirements: Requirements, here: Mapping[str, ParityClass] | None = None
) -> tuple[Candidate, ...]:
    """Orders the artifacts of a package as they are tried without measurements.

    Data comes before code, then fp32 before lower precisions, then what computed the reference before what agrees with
    it by weak evidence, then the backends in ``BACKEND_ORDER`` (PyTorch first if there is an NVIDIA GPU, unknown ones
    last), then packed before padded, then the order of the manifest. Whether a backend can run here is not checked, as
    that imports it: it is tried when its turn comes.

    Args:
        package: The package.
        requirements: The operator's requirements.
        here: The parity class of each artifact that was measured on this machine, by its name.
    """
    parity = package.parity or ParityReport(())
    measured, weak = {item.artifact: item for item in parity.artifacts}, weak_artifacts(parity.artifacts)

    def known(name: str) -> _Known:
        return _Known(measured.get(name), parity.unmeasured.get(name), (here or {}).get(name))

    ordered = sorted(package.artifacts, key=lambda artifact: _preference(artifact, artifact.name in weak))
    return tuple(_judge(item, requirements, known(item.name)) for item in ordered)


def _judge(artifact: Artifact, requirements: Requirements, known: _Known) -> Candidate:
    if (reason := _why_rejected(artifact, requirements, known)) is not None:
        return Candidate(artifact, reason)
    untrusted = _why_untrusted(artifact, requirements)
    return Candidate(artifact, untrusted, needs_trust=untrusted is not None)


def weak_artifacts(evidence: Iterable[ArtifactEvidence]) -> frozenset[str]:
    """Returns the names of artifacts whose samples prove little and that did not compute the reference themselves.

    Args:
        evidence: The evidence of each artifact of a package.
    """
    return frozenset(item.artifact for item in evidence if item.weak is not None and not item.is_reference)


def _preference(artifact: Artifact, weak: bool) -> tuple[bool, int, bool, int, bool]:
    order = _GPU_ORDER if any(path.exists() for path in _NVIDIA_DRIVER) else BACKEND_ORDER
    place = order.index(artifact.backend) if artifact.backend in order else len(order)
    code, precision = artifact.trust_tier is TrustTier.CODE, list(Precision).index(artifact.precision)
    return code, precision, weak, place, artifact.layout is Layout.PADDED


def _why_rejected(artifact: Artifact, requirements: Requirements, known: _Known) -> str | None:
    if requirements.backend not in {AUTO, artifact.backend}:
        return f"the backend {requirements.backend} was requested"
    if requirements.precision not in {None, artifact.precision}:
        return f"the precision {requirements.precision.value} was requested" if requirements.precision else None
    if artifact.backend not in backend_names():
        return f"no backend named {artifact.backend} is registered"
    if reason := _why_not_read(artifact, requirements) or _why_not_good_enough(requirements, known):
        return reason
    return None


def _why_untrusted(artifact: Artifact, requirements: Requirements) -> str | None:
    if requirements.trust_code:
        return None
    code = _PACKAGED_CODE if artifact.trust_tier is TrustTier.CODE else find_extra_code(artifact)
    return code and f"loading it runs {code}, which was not allowed (trust_code, --trust-code)"


def find_extra_code(artifact: Artifact) -> str | None:
    """Returns the code that loading a data artifact runs beside its runtime; see ``Backend.extra_code``.

    Args:
        artifact: The artifact, whose backend is registered.

    Returns:
        A phrase that names it; ``None`` if there is none, or if its backend fails, as it then will when loading.
    """
    try:
        with artifact_border(artifact, "being asked what loading it runs"):
            return get_backend(artifact.backend).extra_code(artifact)
    except InferoxError:
        return None


def _why_not_read(artifact: Artifact, requirements: Requirements) -> str | None:
    try:
        with artifact_border(artifact, "being asked whether it reads this format"):
            backend = get_backend(artifact.backend)
            if not backend.can_load(artifact):
                return f"the backend {artifact.backend} does not read this format"
            # A precision requested by name is tried: a runtime may convert to fp32 and back if it lacks the arithmetic.
            return backend.lacks(artifact, requirements.device) if requirements.precision is None else None
    except InferoxError as error:
        return first_line(error)


def _why_not_good_enough(requirements: Requirements, known_of: _Known) -> str | None:
    evidence, parity_class = known_of.evidence, known_of.parity_class
    if parity_class is None and known_of.unmeasured is not None and not requirements.takes_unmeasured:
        return f"it was not measured where it was packed ({known_of.unmeasured}), nor here ('inferox tune' measures it)"
    if requirements.needs_evidence if parity_class is None else parity_class not in requirements.classes:
        known = "not known" if parity_class is None else parity_class.value
        can_be_requested = requirements.quality is None and parity_class in QUALITIES["quantized"]
        required = f"but {requirements.classes[-1].value} is required"
        return f"its parity is {known}, {f'which --quality {known} allows' if can_be_requested else required}"
    batch = None if evidence is None else evidence.batch
    if batch is None or batch.holds or batch.inherent or requirements.precision is not None or requirements.to_measure:
        return None
    return f"it {batch}, and is taken only if its precision is requested by name"
