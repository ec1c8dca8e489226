"""Which artifact of a package to load, and in which order to try the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from inferox.backends.registry import backend_names, get_backend, probe_backend
from inferox.core import Artifact, BackendNotFoundError, ConfigError, Precision, TrustTier

_UNTRUSTED = "loading it runs code that comes with the package, which was not allowed (trust_code, --trust-code)"

AUTO = "auto"
"""The choice that is left to Inferox."""


@dataclass(frozen=True)
class Candidate:
    """An artifact and whether it may be tried.

    Attributes:
        artifact: The artifact.
        passed_over: Why it is not tried; ``None`` where it is.
    """

    artifact: Artifact
    passed_over: str | None

    @property
    def needs_trust(self) -> bool:
        """Whether the operator's trust is all that is missing."""
        return self.passed_over == _UNTRUSTED


def select(
    artifacts: Iterable[Artifact],
    *,
    backend: str = AUTO,
    precision: str | None = None,
    trust_code: bool = False,
) -> tuple[Candidate, ...]:
    """Puts the artifacts of a package in the order in which they are tried.

    Data comes before code, then fp32 before lower precisions, then the order of the manifest. An artifact is passed
    over where another backend or precision was asked for, where its backend is not registered or cannot run here,
    where its backend does not read its format, and where it is code that the operator has not allowed.

    Args:
        artifacts: The artifacts, in the order of the manifest.
        backend: A registered backend, or ``auto``.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``int8``; ``None`` for any, best first.
        trust_code: Whether the operator allows code that comes with the package to run.

    Raises:
        BackendNotFoundError: If the backend that is asked for is not registered.
        ConfigError: If there is no such precision.
    """
    if backend != AUTO and backend not in backend_names():
        raise BackendNotFoundError(backend, backend_names())
    wanted = None if precision is None else _parse_precision(precision)
    ordered = sorted(artifacts, key=_preference)
    return tuple(
        Candidate(artifact, _why_passed_over(artifact, backend, wanted, trust_code=trust_code)) for artifact in ordered
    )


def _parse_precision(text: str) -> Precision:
    try:
        return Precision(text)
    except ValueError:
        known = ", ".join(precision.value for precision in Precision)
        raise ConfigError(f"there is no precision {text!r}", hint=f"use one of {known}") from None


def _preference(artifact: Artifact) -> tuple[bool, int]:
    return artifact.trust_tier is TrustTier.CODE, list(Precision).index(artifact.precision)


def _why_passed_over(artifact: Artifact, backend: str, wanted: Precision | None, *, trust_code: bool) -> str | None:
    if backend not in {AUTO, artifact.backend}:
        return f"the backend {backend} was asked for"
    if wanted is not None and artifact.precision is not wanted:
        return f"the precision {wanted.value} was asked for"
    if artifact.backend not in backend_names():
        return f"no backend named {artifact.backend} is registered"
    availability = probe_backend(artifact.backend)
    if not availability.available:
        return f"{availability.reason}; {availability.hint}" if availability.hint else availability.reason
    if not get_backend(artifact.backend).can_load(artifact):
        return f"the backend {artifact.backend} does not read this format"
    if artifact.trust_tier is TrustTier.CODE and not trust_code:
        return _UNTRUSTED
    return None
