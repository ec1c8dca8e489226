"""Artifacts that take no extra space: the files of an fp32 artifact, computed in another precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from inferox.core import Artifact, Backend, Exporter, InferoxError, Precision, UnsupportedDTypeError
from inferox.parity import ArtifactEvidence, ParityClass

Measure = Callable[[Artifact], ArtifactEvidence]
"""A function that loads an artifact and measures it against the reference."""


@dataclass
class FreeArtifacts:
    """The artifacts in other precisions that a backend computes from the files of its fp32 artifacts.

    Nobody requested them, so they must be worth including: of the class ``close``, by evidence that is not weak.

    Attributes:
        artifacts: The artifacts worth including.
        evidence: The evidence of each of them, in the same order.
        unmeasured: The artifacts that this machine cannot compute but others can, and what it lacks.
        left_out: The reason why each of the others is not worth including, by name.
    """

    artifacts: list[Artifact] = field(default_factory=list)
    evidence: list[ArtifactEvidence] = field(default_factory=list)
    unmeasured: list[tuple[Artifact, str]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def add(self, artifact: Artifact, backend: Backend, measure: Measure) -> None:
        """Measures an artifact if this machine can, and decides whether to include it.

        Args:
            artifact: The artifact.
            backend: Its backend.
            measure: Measures it.
        """
        if lacking := backend.lacks(artifact, None):
            self.unmeasured.append((artifact, lacking))
            return
        try:
            evidence = measure(artifact)
        except UnsupportedDTypeError as error:
            self.unmeasured.append((artifact, error.message))
        except InferoxError as error:
            self.left_out[artifact.name] = error.message
        else:
            if reason := _why_not_worth_it(evidence):
                self.left_out[artifact.name] = reason
                return
            self.artifacts.append(artifact)
            self.evidence.append(evidence)


def make_free(exporter: Exporter, artifacts: Sequence[Artifact], backend: Backend) -> list[Artifact]:
    """Makes the free artifacts that follow from a backend's fp32 artifacts.

    Args:
        exporter: The backend's exporter.
        artifacts: All exported artifacts.
        backend: The backend.
    """
    mine = [item for item in artifacts if item.backend == backend.name and item.precision is Precision.FP32]
    return [replace(item, precision=precision) for precision in exporter.free_precisions for item in mine]


def _why_not_worth_it(evidence: ArtifactEvidence) -> str | None:
    if evidence.parity_class is ParityClass.EXACT:
        return "its outputs equal those of fp32, so nothing in it is computed in another precision"
    if evidence.parity_class is not ParityClass.CLOSE:
        return f"it is not close to the original: {evidence.agreement}"
    return None if evidence.weak is None else f"the evidence for it is weak: {evidence.weak}"
