"""Evidence: the measured agreement of each artifact, with versions and machine, as ``parity.json`` stores it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from inferox.core import Artifact, ExecutionError, Model, RequestError
from inferox.core.fields import Fields
from inferox.parity.invariance import BatchInvariance, measure_invariance
from inferox.parity.measurement import find_scales, is_nothing_alike, measure, measure_rows
from inferox.parity.parity_target import Arrays, ParityTarget
from inferox.parity.samples import Samples
from inferox.parity.tolerance import (
    COSINE_LIMIT,
    DISAGREEMENT,
    LEAST_CLASS,
    NOTHING_ALIKE,
    TOLERANCES,
    Agreement,
    Limits,
    ParityClass,
    Tolerance,
    classify,
)
from inferox.parity.versions import installed_versions
from inferox.parity.weakness import find_weakness

PARITY_FILE = "parity.json"

_AGREEMENT = ("max_abs", "max_rel", "cosine_mean", "cosine_min", "argmax_agreement", "ranking_agreement")
"""The figures of an agreement that are recorded."""


@dataclass(frozen=True)
class RowAgreement:
    """The agreement of one row of the samples.

    Attributes:
        call: The index of the sample call, from 0.
        row: The index of the row in that call, from 0.
        max_abs: The largest absolute difference.
        cosine_min: The smallest cosine of its vectors.
        max_rel: The largest absolute difference, as a share of the largest number of that output in all calls; ``None``
            if that was not recorded.
        argmax_agreement: The share of its arg-maxes that are the same; ``None`` if it has none that count.
    """

    call: int
    row: int
    max_abs: float
    cosine_min: float
    max_rel: float | None = None
    argmax_agreement: float | None = None

    def __str__(self) -> str:
        relative = "" if self.max_rel is None else f", relative {self.max_rel:.2g}"
        order = "" if self.argmax_agreement is None else f", arg-max {self.argmax_agreement:.1%}"
        difference = f"max abs difference {self.max_abs:.2g}{relative}"
        return f"row {self.row} of sample call {self.call}: {difference}, cosine {self.cosine_min:.6f}{order}"


@dataclass(frozen=True)
class ArtifactEvidence:
    """The measured agreement of one artifact.

    Attributes:
        artifact: Its name.
        agreement: Its agreement with the reference.
        tolerance: The tolerance that it had to meet.
        parity_class: The best class that it reaches, or ``fail`` if it misses its tolerance.
        versions: The versions of the libraries that took part.
        machine: The machine on which it was measured.
        rows: The agreement of each row; empty if that was not recorded.
        batch: The difference between rows in a batch and the same rows alone; ``None`` if that was not measured.
        weak: Why agreement proves little, because the samples do not exercise the model; ``None`` if they do.
        is_reference: Whether its runtime is the one that computed the reference, so that it needs no proof.
    """

    artifact: str
    agreement: Agreement
    tolerance: Tolerance
    parity_class: ParityClass
    versions: Mapping[str, str]
    machine: str
    rows: tuple[RowAgreement, ...] = field(default=(), repr=False)
    batch: BatchInvariance | None = None
    weak: str | None = None
    is_reference: bool = False

    def missed_rows(self, at_most: int = 5) -> tuple[RowAgreement, ...]:
        """Returns the rows to look at if the tolerance is missed: those that miss it themselves, worst first.

        If only the mean cosine misses it, that is the row with the smallest cosine. If only the order of rows does,
        there is none.

        Args:
            at_most: The most rows to return.
        """
        if self.parity_class is not ParityClass.FAIL:
            return ()
        least = self.tolerance.cosine_min
        worst = sorted(self.rows, key=lambda row: (min(row.cosine_min, least), -(row.max_rel or 0.0)))
        missed = [row for row in worst if self._is_missed_by(row)]
        if not missed and self.agreement.cosine_mean < self.tolerance.cosine_mean:
            missed = sorted(self.rows, key=lambda row: row.cosine_min)[:1]
        return tuple(missed[:at_most])

    def _is_missed_by(self, row: RowAgreement) -> bool:
        limit, order = self.tolerance.max_rel, self.agreement.argmax_agreement
        return (
            not row.cosine_min >= self.tolerance.cosine_min
            or (limit is not None and row.max_rel is not None and not row.max_rel <= limit)
            # Single decisions may differ where enough of them agree.
            or (order is not None and order < self.tolerance.order_min and row.argmax_agreement not in {None, 1.0})
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the evidence as ``parity.json`` stores it."""
        return {
            "artifact": self.artifact,
            "class": self.parity_class.value,
            "agreement": _finite({name: getattr(self.agreement, name) for name in _AGREEMENT}),
            "tolerance": asdict(self.tolerance),
            "versions": dict(self.versions),
            "machine": self.machine,
            "rows": [_finite(asdict(row)) for row in self.rows],
            "batch": None if self.batch is None else self.batch.to_json(),
            **({} if self.weak is None else {"weak": self.weak}),
            **({"is_reference": True} if self.is_reference else {}),
        }

    @classmethod
    def from_json(cls, data: Any) -> ArtifactEvidence:
        """Reads evidence.

        Raises:
            ManifestError: If a field is missing or malformed.
        """
        fields = Fields(data, f"an artifact of {PARITY_FILE}")
        return cls(
            artifact=fields.required("artifact", str),
            agreement=_read_agreement(fields.required("agreement", dict)),
            tolerance=_read_tolerance(fields.required("tolerance", dict)),
            parity_class=ParityClass.read(fields.required("class", str), f"'class' of an artifact of {PARITY_FILE}"),
            versions=fields.text_by_name("versions"),
            machine=fields.required("machine", str),
            rows=fields.map("rows", _read_row) if "rows" in data else (),
            batch=BatchInvariance.from_json(data["batch"]) if data.get("batch") is not None else None,
            weak=fields.optional("weak", str),
            is_reference=fields.optional("is_reference", bool) or False,
        )


def measure_model(
    model: Model,
    artifact: Artifact,
    samples: Samples,
    parity_target: ParityTarget,
    tolerance: Tolerance | Limits | None = None,
    *,
    scales: Mapping[str, float] | None = None,
    beside_others: bool = False,
    distributions: Sequence[str] = (),
) -> ArtifactEvidence:
    """Runs a model on the samples and measures its outputs.

    Args:
        model: The artifact, loaded, with the padded signature of its package.
        artifact: The artifact.
        samples: The sample calls, with the reference's outputs.
        parity_target: The part of the outputs to compare.
        tolerance: The tolerance that it must meet; limits that are not stated follow from its precision.
        scales: The number relative to which differences are stated, by output. If these samples are part of a larger
            set, ``parity_target.scales`` of that set; ``None`` for those of these samples.
        beside_others: Whether rows are also computed alone, and compared with the same rows in a batch.
        distributions: The distributions that may install the runtime, to record its version; by default the backend's
            name.

    Raises:
        BackendError: If the runtime fails, or the artifact does not take a sample.
        ConfigError: If the tolerance names an unknown limit.
    """

    def compute(inputs: Arrays) -> Arrays:
        return {name: value.numpy() for name, value in model.forward(inputs).items()}

    try:
        outputs = [compute(batch.inputs) for batch in samples.batches]
        evidence = collect_evidence(
            artifact, samples, outputs, parity_target, tolerance, scales=scales, distributions=distributions
        )
        if not beside_others:
            return evidence
        found = measure_invariance(
            compute, samples, outputs, model.signature, parity_target, precision=artifact.precision
        )
    except RequestError as error:
        raise ExecutionError(f"{artifact.name} refuses a sample: {error}", hint="pack the model again") from error
    reached = evidence.parity_class if found is None else found.limit_class(evidence.parity_class)
    return replace(evidence, batch=found, parity_class=reached)


def collect_evidence(
    artifact: Artifact,
    samples: Samples,
    outputs: Sequence[Arrays],
    parity_target: ParityTarget,
    tolerance: Tolerance | Limits | None = None,
    *,
    scales: Mapping[str, float] | None = None,
    distributions: Sequence[str] = (),
) -> ArtifactEvidence:
    """Measures an artifact's outputs and classifies them.

    Args:
        artifact: The artifact.
        samples: The sample calls, with the reference's outputs.
        outputs: The artifact's outputs for each call, by name, in padded form.
        parity_target: The part of the outputs to compare.
        tolerance: The tolerance that it must meet; limits that are not stated follow from its precision.
        scales: The number relative to which differences are stated, by output; ``None`` for the largest of these
            samples.
        distributions: The distributions that may install the runtime, to record its version; by default the backend's
            name.

    Raises:
        ConfigError: If the tolerance names an unknown limit.
    """
    expected, specs = parity_target.reference(samples), parity_target.specs
    actual = [parity_target.read(batch.inputs, found) for batch, found in zip(samples.batches, outputs, strict=True)]
    required = TOLERANCES[LEAST_CLASS[artifact.precision]].with_limits(tolerance)
    scales = find_scales(specs, expected) if scales is None else scales
    agreement = measure(specs, expected, actual, ranks=parity_target.ranks, tie=required.tie, scales=scales)
    if agreement == DISAGREEMENT and is_nothing_alike(specs, expected, actual):
        agreement = NOTHING_ALIKE
    return ArtifactEvidence(
        artifact=artifact.name,
        agreement=agreement,
        tolerance=required,
        parity_class=classify(agreement, required),
        versions=installed_versions(distributions or (artifact.backend,)),
        machine=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        rows=tuple(
            RowAgreement(call, row, found.max_abs, found.cosine_min, found.max_rel, found.argmax_agreement)
            for call, (batch, output) in enumerate(zip(expected, actual, strict=True))
            for row, found in enumerate(measure_rows(specs, batch, output, tie=required.tie, scales=scales))
        ),
        weak=find_weakness(samples, parity_target),
    )


def _finite(figures: Mapping[str, float | None]) -> dict[str, float | None]:
    """Converts figures to what JSON can hold: infinities become ``None``."""
    return {name: None if value is None or not np.isfinite(value) else value for name, value in figures.items()}


def _read_agreement(data: dict[str, Any]) -> Agreement:
    fields = Fields(data, f"an agreement of {PARITY_FILE}")
    # JSON has no infinity: figures that could not be compared were written as null.
    if "max_abs" in data and data["max_abs"] is None:
        return DISAGREEMENT
    return Agreement(
        max_abs=fields.number("max_abs", least=0),
        max_rel=fields.number("max_rel", least=0),
        cosine_mean=fields.number("cosine_mean", least=-COSINE_LIMIT, most=COSINE_LIMIT),
        cosine_min=fields.number("cosine_min", least=-COSINE_LIMIT, most=COSINE_LIMIT),
        argmax_agreement=fields.optional_number("argmax_agreement", least=0, most=1),
        ranking_agreement=fields.optional_number("ranking_agreement", least=0, most=1),
    )


def _read_row(data: Any) -> RowAgreement:
    fields = Fields(data, f"a row of {PARITY_FILE}")
    return RowAgreement(
        fields.count("call"),
        fields.count("row"),
        _or_infinity(fields.optional_number("max_abs", least=0)),
        fields.number("cosine_min", least=-COSINE_LIMIT, most=COSINE_LIMIT),
        _or_infinity(fields.optional_number("max_rel", least=0)) if "max_rel" in data else None,
        fields.optional_number("argmax_agreement", least=0, most=1),
    )


def _or_infinity(number: float | None) -> float:
    """Reads a number that was written as null if it could not be compared."""
    return float("inf") if number is None else number


def _read_tolerance(data: dict[str, Any]) -> Tolerance:
    fields = Fields(data, f"a tolerance of {PARITY_FILE}")
    return Tolerance(
        max_rel=fields.optional_number("max_rel"),
        cosine_mean=fields.number("cosine_mean"),
        cosine_min=fields.number("cosine_min"),
        # Packages made before decisions had limits do not have these.
        order_min=fields.optional_number("order_min") or 0.0,
        tie=fields.optional_number("tie") or 0.0,
    )
