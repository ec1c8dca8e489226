"""Evidence: what was measured of each artifact, with what and where, as ``parity.json`` keeps it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import Artifact, ManifestError, Model, TensorSpec
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
    measure_rows,
)
from inferox.package.samples import SampleBatch, Samples

PARITY_FILE = "parity.json"

_VERSIONS_OF = ("inferox", "numpy", "torch", "transformers")


Arrays = Mapping[str, npt.NDArray[Any]]
"""Named tensors of a padded batch."""


@dataclass(frozen=True)
class RowAgreement:
    """How well one row of the samples agrees.

    Attributes:
        call: The sample call, from 0.
        row: The row of that call, from 0.
        max_abs: The largest absolute difference.
        cosine_min: The least cosine of its vectors.
    """

    call: int
    row: int
    max_abs: float
    cosine_min: float


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
        rows: How well each row agrees; empty where that was not recorded.
    """

    artifact: str
    agreement: Agreement
    tolerance: Tolerance
    parity_class: ParityClass
    versions: Mapping[str, str]
    machine: str
    rows: tuple[RowAgreement, ...] = ()

    def missed_rows(self, at_most: int = 5) -> tuple[RowAgreement, ...]:
        """The rows to look at where the tolerance is missed: those whose cosine misses it, or the worst; worst first.

        Args:
            at_most: How many rows to name.
        """
        if self.parity_class is not ParityClass.FAIL:
            return ()
        worst = sorted(self.rows, key=lambda row: (row.cosine_min, -row.max_abs))
        missed = [row for row in worst if not row.cosine_min >= self.tolerance.cosine_min]
        return tuple((missed or worst[:1])[:at_most])

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
            "rows": [
                {name: value if np.isfinite(value) else None for name, value in asdict(row).items()}
                for row in self.rows
            ],
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
            rows=fields.map("rows", _read_row) if "rows" in data else (),
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


@dataclass(frozen=True)
class Reading:
    """What of a model's outputs is compared: what the model's task makes of them.

    Attributes:
        specs: The tensors that are compared, as they are in padded batches.
        read: Makes them from a padded batch's inputs and outputs.
        ranks: Whether the rows of a call are ranked by their first number.
    """

    specs: Sequence[TensorSpec]
    read: Callable[[Arrays, Arrays], Arrays]
    ranks: bool = False

    @classmethod
    def of_outputs(cls, specs: Sequence[TensorSpec], *, ranks: bool = False) -> Reading:
        """The outputs as they are."""
        return cls(specs, lambda _, outputs: outputs, ranks)


def measure_model(
    model: Model, artifact: Artifact, samples: Samples, reading: Reading, tolerance: Tolerance | None = None
) -> ArtifactEvidence:
    """Runs a model on the samples and measures what comes.

    Args:
        model: The artifact, loaded, with the padded signature of its package.
        artifact: The artifact.
        samples: The sample calls, with the reference's outputs.
        reading: What of the outputs is compared.
        tolerance: What it must reach; ``None`` for what its precision asks for.

    Raises:
        BackendError: If the runtime fails.
    """
    outputs = [
        {name: value.numpy() for name, value in model.forward(batch.inputs).items()} for batch in samples.batches
    ]
    return collect_evidence(artifact, samples, outputs, reading, tolerance)


def collect_evidence(
    artifact: Artifact,
    samples: Samples,
    outputs: Sequence[Arrays],
    reading: Reading,
    tolerance: Tolerance | None = None,
) -> ArtifactEvidence:
    """Measures an artifact's outputs and classifies them.

    Args:
        artifact: The artifact.
        samples: The sample calls, with the reference's outputs.
        outputs: The artifact's outputs for each call, by name, as they are in padded batches.
        reading: What of the outputs is compared.
        tolerance: What it must reach; ``None`` for what its precision asks for.
    """
    expected = [SampleBatch(batch.inputs, reading.read(batch.inputs, batch.outputs)) for batch in samples.batches]
    actual = [reading.read(batch.inputs, found) for batch, found in zip(samples.batches, outputs, strict=True)]
    agreement = measure(reading.specs, expected, actual, ranks=reading.ranks)
    least = LEAST_CLASS[artifact.precision]
    return ArtifactEvidence(
        artifact=artifact.name,
        agreement=agreement,
        tolerance=tolerance or TOLERANCES[least],
        parity_class=classify(agreement, least, tolerance),
        versions=_versions(artifact.backend),
        machine=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        rows=tuple(
            RowAgreement(call, row, found.max_abs, found.cosine_min)
            for call, (batch, output) in enumerate(zip(expected, actual, strict=True))
            for row, found in enumerate(measure_rows(reading.specs, batch, output))
        ),
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
        argmax_agreement=fields.optional_number("argmax_agreement"),
        ranking_agreement=fields.optional_number("ranking_agreement"),
    )


def _read_row(data: Any) -> RowAgreement:
    fields = Fields(data, f"a row of {PARITY_FILE}")
    # JSON has no infinity: what could not be compared was written as null.
    max_abs = fields.optional_number("max_abs")
    return RowAgreement(
        fields.required("call", int),
        fields.required("row", int),
        float("inf") if max_abs is None else max_abs,
        fields.number("cosine_min"),
    )


def _read_tolerance(data: dict[str, Any]) -> Tolerance:
    fields = Fields(data, f"a tolerance of {PARITY_FILE}")
    return Tolerance(
        max_rel=fields.optional_number("max_rel"),
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
