"""Evidence: what was measured of each artifact, with what and where, as ``parity.json`` keeps it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import Artifact, ManifestError, Model
from inferox.package.manifest import Fields
from inferox.package.parity import (
    DISAGREEMENT,
    LEAST_CLASS,
    TOLERANCES,
    Agreement,
    ParityClass,
    Tolerance,
    classify,
    measure,
)
from inferox.package.samples import Samples

PARITY_FILE = "parity.json"

_VERSIONS_OF = ("inferox", "numpy", "torch", "transformers")


@dataclass(frozen=True)
class ArtifactEvidence:
    """What was measured of one artifact.

    Attributes:
        artifact: Its name.
        agreement: How well it agrees with the reference.
        tolerance: What it had to reach.
        parity_class: The best class that it reaches, or ``fail`` where it misses its tolerance.
        versions: The versions of the libraries that took part.
        machine: The machine on which it was measured.
    """

    artifact: str
    agreement: Agreement
    tolerance: Tolerance
    parity_class: ParityClass
    versions: Mapping[str, str]
    machine: str

    def to_json(self) -> dict[str, Any]:
        """The evidence as ``parity.json`` has it."""
        agreement = {
            name: None if value is None or not np.isfinite(value) else value
            for name, value in asdict(self.agreement).items()
        }
        return {
            "artifact": self.artifact,
            "class": self.parity_class.value,
            "agreement": agreement,
            "tolerance": asdict(self.tolerance),
            "versions": dict(self.versions),
            "machine": self.machine,
        }

    @classmethod
    def from_json(cls, data: Any) -> ArtifactEvidence:
        """Reads evidence.

        Raises:
            ManifestError: If a field is missing or malformed.
        """
        fields = Fields(data, f"an artifact of {PARITY_FILE}")
        versions = fields.required("versions", dict)
        if not all(isinstance(text, str) for text in versions.values()):
            raise ManifestError(f"'versions' of an artifact of {PARITY_FILE} must hold texts, and is {versions}")
        return cls(
            artifact=fields.required("artifact", str),
            agreement=_read_agreement(fields.required("agreement", dict)),
            tolerance=_read_tolerance(fields.required("tolerance", dict)),
            parity_class=_read_class(fields.required("class", str)),
            versions=versions,
            machine=fields.required("machine", str),
        )


@dataclass(frozen=True)
class ParityReport:
    """The evidence of a package.

    Attributes:
        artifacts: What was measured of each artifact.
    """

    artifacts: tuple[ArtifactEvidence, ...]

    def to_json(self) -> dict[str, Any]:
        """The report as ``parity.json`` has it."""
        return {"artifacts": [item.to_json() for item in self.artifacts]}

    @classmethod
    def from_json(cls, data: Any) -> ParityReport:
        """Reads a report.

        Raises:
            ManifestError: If a field is missing or malformed.
        """
        return cls(Fields(data, PARITY_FILE).map("artifacts", ArtifactEvidence.from_json))


def measure_model(model: Model, artifact: Artifact, samples: Samples) -> ArtifactEvidence:
    """Runs a model on the samples and measures what comes.

    Args:
        model: The artifact, loaded.
        artifact: The artifact.
        samples: The sample calls, with the reference's outputs.

    Raises:
        BackendError: If the runtime fails.
    """
    outputs = [
        {name: value.numpy() for name, value in model.forward(batch.inputs).items()} for batch in samples.batches
    ]
    return collect_evidence(artifact, samples, outputs)


def collect_evidence(
    artifact: Artifact, samples: Samples, outputs: Sequence[Mapping[str, npt.NDArray[Any]]]
) -> ArtifactEvidence:
    """Measures an artifact's outputs and classifies them.

    Args:
        artifact: The artifact.
        samples: The sample calls, with the reference's outputs.
        outputs: The artifact's outputs for each call, by name.
    """
    agreement = measure(artifact.signature.outputs, samples.batches, outputs)
    least = LEAST_CLASS[artifact.precision]
    return ArtifactEvidence(
        artifact=artifact.name,
        agreement=agreement,
        tolerance=TOLERANCES[least],
        parity_class=classify(agreement, least),
        versions=_versions(artifact.backend),
        machine=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    )


def _read_agreement(data: dict[str, Any]) -> Agreement:
    fields = Fields(data, f"an agreement of {PARITY_FILE}")
    # JSON has no infinity: what could not be compared was written as null.
    if "max_abs" in data and data["max_abs"] is None:
        return DISAGREEMENT
    return Agreement(
        max_abs=fields.number("max_abs"),
        max_rel=fields.number("max_rel"),
        cosine_mean=fields.number("cosine_mean"),
        cosine_min=fields.number("cosine_min"),
        argmax_agreement=None if data.get("argmax_agreement") is None else fields.number("argmax_agreement"),
    )


def _read_tolerance(data: dict[str, Any]) -> Tolerance:
    fields = Fields(data, f"a tolerance of {PARITY_FILE}")
    return Tolerance(
        max_rel=None if data.get("max_rel") is None else fields.number("max_rel"),
        cosine_mean=fields.number("cosine_mean"),
        cosine_min=fields.number("cosine_min"),
    )


def _read_class(name: str) -> ParityClass:
    try:
        return ParityClass(name)
    except ValueError:
        known = ", ".join(item.value for item in ParityClass)
        raise ManifestError(
            f"'class' of an artifact of {PARITY_FILE} must be one of {known}, and is {name!r}"
        ) from None


def _versions(backend: str) -> dict[str, str]:
    found = {}
    for name in dict.fromkeys((*_VERSIONS_OF, backend)):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
