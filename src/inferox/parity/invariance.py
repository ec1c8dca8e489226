"""Batch invariance: whether a row's outputs are the same whatever rows share its batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import BATCH, MASK, SEQUENCE, InferoxError, Precision, Signature, TensorSpec
from inferox.core.fields import Fields
from inferox.parity.measurement import find_scales, measure
from inferox.parity.parity_target import Arrays, ParityTarget
from inferox.parity.samples import SampleBatch, Samples
from inferox.parity.tolerance import COSINE_LIMIT, TOLERANCES, Agreement, ParityClass, Tolerance

_MOST_ROWS = 10
"""The most rows that are computed alone: enough for each kind of sample, at less cost than the samples."""

_CLOSE = TOLERANCES[ParityClass.CLOSE]

LIMITS = {
    Precision.FP32: _CLOSE,
    Precision.FP16: _CLOSE,
    Precision.BF16: replace(_CLOSE, max_rel=0.05, cosine_min=0.999),
    Precision.INT8: _CLOSE,
}
"""The limits on the difference between a row in a batch and alone, which allow for another order of summation.

Runtimes choose different kernels for different shapes. In bf16, which has 8 bits of mantissa, that alone changed the
logits of a small tagger by up to 0.011, at a cosine of 0.9998; one scale for a whole batch changes more than the limits
allow. In int8, both orders give the same integers.
"""

Compute = Callable[[Arrays], Arrays]
"""A function that computes a call: outputs by name from inputs by name, both as padded batches."""


@dataclass(frozen=True)
class BatchInvariance:
    """The difference between rows in a batch and the same rows alone, both computed by one artifact.

    Attributes:
        max_rel: The largest absolute difference, as a share of the largest number of that output.
        cosine_min: The smallest cosine between a vector in a batch and the same vector alone.
        rows: The number of rows compared.
        inherent: Whether the model itself, as the reference computes it, depends on the batch as well.
        limit: The limits on the difference and the cosine.
    """

    max_rel: float
    cosine_min: float
    rows: int
    inherent: bool = False
    limit: Tolerance = _CLOSE

    @property
    def holds(self) -> bool:
        """True if a row's outputs are the same alone and in any batch, except for rounding."""
        return self.max_rel <= (self.limit.max_rel or 0.0) and self.cosine_min >= self.limit.cosine_min

    def limit_class(self, reached: ParityClass) -> ParityClass:
        """Limits an artifact's parity class to ``close`` if batches change its outputs more than ``exact`` allows.

        Args:
            reached: The class of its agreement with the reference.
        """
        exact = TOLERANCES[ParityClass.EXACT]
        same = self.max_rel <= (exact.max_rel or 0.0) and self.cosine_min >= exact.cosine_min
        return ParityClass.CLOSE if reached is ParityClass.EXACT and self.holds and not same else reached

    def __str__(self) -> str:
        if self.holds:
            return "batch invariant"
        figures = f"a row differs by up to {self.max_rel:.2g} (cosine {self.cosine_min:.6f}) from the same row alone"
        return f"depends on the batch: {figures}{', as the model itself does' if self.inherent else ''}"

    def to_json(self) -> dict[str, Any]:
        """Returns the figures as ``parity.json`` stores them; ``null`` for what could not be compared."""
        comparable = bool(np.isfinite(self.max_rel))
        return {
            "invariant": self.holds,
            "inherent": self.inherent,
            "max_rel": self.max_rel if comparable else None,
            "cosine_min": self.cosine_min if comparable else None,
            "rows": self.rows,
            "limits": {"max_rel": self.limit.max_rel, "cosine_min": self.limit.cosine_min},
        }

    @classmethod
    def from_json(cls, data: Any) -> BatchInvariance:
        """Reads figures.

        Raises:
            ManifestError: If a field is missing or malformed.
        """
        fields = Fields(data, "'batch' of an artifact of parity.json")
        largest = fields.optional_number("max_rel", least=0)
        least = fields.optional_number("cosine_min", least=-COSINE_LIMIT, most=COSINE_LIMIT)
        limits = Fields(fields.required("limits", dict), "'limits' of a 'batch' of parity.json")
        return cls(
            max_rel=float("inf") if largest is None else largest,
            cosine_min=-1.0 if least is None else least,
            rows=fields.count("rows"),
            inherent=fields.required("inherent", bool),
            limit=replace(_CLOSE, max_rel=limits.number("max_rel"), cosine_min=limits.number("cosine_min")),
        )


@dataclass(frozen=True)
class _Row:
    """A row of a call, and the outputs of the call for it."""

    alone: Arrays
    outputs: Arrays
    extent: int | None

    @property
    def key(self) -> tuple[bytes, ...]:
        return tuple(self.alone[name].tobytes() for name in sorted(self.alone))


def measure_invariance(
    compute: Compute,
    samples: Samples,
    outputs: Sequence[Arrays],
    signature: Signature,
    parity_target: ParityTarget,
    *,
    precision: Precision = Precision.FP32,
) -> BatchInvariance | None:
    """Compares rows of batches with the same rows alone.

    Rows of the sample calls are compared, and those rows of the probes that are also in a sample call: the others are
    there to disturb them.

    Args:
        compute: Computes a call.
        samples: The sample calls and the probes.
        outputs: The result of ``compute`` for each sample call.
        signature: The padded signature of ``compute``.
        parity_target: The part of the outputs to compare.
        precision: The number format in which ``compute`` computes.

    Returns:
        The figures; ``None`` if there is nothing to compare: no rows, or no two of them in one call.

    Raises:
        InferoxError: If a probe cannot be computed.
    """
    shape = _RowShape.of(signature, parity_target)
    if shape is None:
        return None
    calls = list(zip((batch.inputs for batch in samples.batches), outputs, strict=True))
    rows = [list(shape.rows(inputs, found)) for inputs, found in calls]
    known = {row.key: row.outputs for found in rows if len(found) == 1 and shape.count == 1 for row in found}
    wanted = {row.key for found in rows for row in found}
    probes = [list(shape.rows(inputs, compute(inputs))) for inputs in samples.probes if shape.takes(inputs)]
    together = [row for found in (*reversed(probes), *reversed(rows)) if len(found) > 1 for row in found]
    compared: list[Agreement] = []
    scales = parity_target.scales(samples)
    for row in together:
        if row.key not in wanted or (row.key not in known and len(known) >= _MOST_ROWS):
            continue
        if row.key not in known:
            alone = _try(compute, shape.repeat(row.alone))
            if alone is None:
                continue
            known[row.key] = next(shape.rows(shape.repeat(row.alone), alone)).outputs
        compared.append(_compare(row, known[row.key], parity_target, shape.specs, scales))
    if not compared:
        return None
    return BatchInvariance(
        max_rel=max(item.max_rel for item in compared),
        cosine_min=min(item.cosine_min for item in compared),
        rows=len(compared),
        limit=LIMITS[precision],
    )


@dataclass(frozen=True)
class _RowShape:
    """The axes of the rows in the tensors of a signature.

    Attributes:
        signature: The signature.
        specs: The compared tensors that have rows.
        count: The number of rows of the smallest call: 1, unless the model was traced with a fixed number.
    """

    signature: Signature
    specs: tuple[TensorSpec, ...]
    count: int

    @classmethod
    def of(cls, signature: Signature, parity_target: ParityTarget) -> _RowShape | None:
        firsts = {spec.dims[0] for spec in signature.inputs if spec.dims}
        first = BATCH if BATCH in firsts else next(iter(firsts)) if len(firsts) == 1 else None
        if first != BATCH and not (isinstance(first, int) and first > 1):
            return None
        specs = tuple(spec for spec in parity_target.specs if spec.dims[:1] in {(first,), (BATCH,)})
        if not specs:
            return None
        return cls(signature, specs, first if isinstance(first, int) else 1)

    def takes(self, inputs: Arrays) -> bool:
        try:
            self.signature.check_inputs(inputs)
        except InferoxError:
            return False
        return True

    def rows(self, inputs: Arrays, outputs: Arrays) -> Iterator[_Row]:
        """Yields the rows of a call without padding; rows that consist only of padding are left out."""
        sizes = [len(inputs[spec.name]) for spec in self.signature.inputs if self._is_rowwise(spec)]
        mask = inputs.get(MASK)
        for index in range(min(sizes)):
            extent = None if mask is None or mask.ndim != 2 else _attended(mask[index])  # noqa: PLR2004 - [batch, seq]
            if extent == 0:
                continue
            yield _Row(
                {spec.name: self._cut(spec, inputs[spec.name], index, extent) for spec in self.signature.inputs},
                {
                    spec.name: self._cut(spec, outputs[spec.name], index, extent)
                    for spec in self.signature.outputs
                    if spec.name in outputs and self._is_rowwise(spec)
                },
                extent,
            )

    def repeat(self, inputs: Arrays) -> Arrays:
        """Repeats a row to the smallest call that the model takes."""
        if self.count == 1:
            return inputs
        return {
            spec.name: np.repeat(inputs[spec.name], self.count, axis=0) if self._is_rowwise(spec) else inputs[spec.name]
            for spec in self.signature.inputs
        }

    def _is_rowwise(self, spec: TensorSpec) -> bool:
        return spec.dims[:1] == (BATCH,) or (self.count > 1 and spec.dims[:1] == (self.count,))

    def _cut(self, spec: TensorSpec, array: npt.NDArray[Any], index: int, extent: int | None) -> npt.NDArray[Any]:
        if not self._is_rowwise(spec) or array.ndim != len(spec.dims) or len(array) <= index:
            return array
        whole = [slice(None if extent is None or dim != SEQUENCE else extent) for dim in spec.dims[1:]]
        return np.ascontiguousarray(array[(slice(index, index + 1), *whole)])


def _attended(mask: npt.NDArray[Any]) -> int:
    """Counts the places up to the last attended one."""
    (places,) = np.nonzero(mask)
    return int(places[-1]) + 1 if len(places) else 0


def _try(compute: Compute, inputs: Arrays) -> Arrays | None:
    """Computes the outputs; ``None`` if the model does not take a single row."""
    try:
        return compute(inputs)
    except InferoxError:
        return None


def _compare(
    row: _Row, alone: Arrays, parity_target: ParityTarget, specs: Sequence[TensorSpec], scales: Mapping[str, float]
) -> Agreement:
    expected, actual = _same_infinities(
        parity_target.read(row.alone, alone), parity_target.read(row.alone, row.outputs)
    )
    batch = SampleBatch(row.alone, expected)
    own = find_scales(specs, [batch])
    largest = {name: max(value, scales.get(name, 0.0)) for name, value in own.items()}
    return measure(specs, [batch], [actual], scales=largest)


def _same_infinities(expected: Arrays, actual: Arrays) -> tuple[dict[str, npt.NDArray[Any]], ...]:
    """Returns both, with zeros where both have the same infinity or NaN, as in masked logits: they agree there."""
    left, right = dict(expected), dict(actual)
    for name in left.keys() & right.keys():
        if left[name].dtype.kind != "f" or left[name].shape != right[name].shape:
            continue
        same = ~np.isfinite(left[name]) & ((left[name] == right[name]) | (np.isnan(left[name]) & np.isnan(right[name])))
        if same.any():
            left[name], right[name] = np.where(same, 0, left[name]), np.where(same, 0, right[name])
    return left, right


def as_inherent(found: BatchInvariance) -> BatchInvariance:
    """Marks figures as those of a model that itself depends on the batch."""
    return replace(found, inherent=True)
