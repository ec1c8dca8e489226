"""Parity: how well outputs agree with the reference's, as numbers and as a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import BATCH, SEQUENCE, Precision, TensorSpec
from inferox.package.samples import SampleBatch

_MASK = "attention_mask"
_LOGITS = "logits"
_TINY = float(np.finfo(np.float32).tiny)


class ParityClass(Enum):
    """How well an artifact agrees, from best to worst."""

    EXACT = "exact"
    CLOSE = "close"
    QUANTIZED = "quantized"
    FAIL = "fail"


@dataclass(frozen=True)
class Tolerance:
    """What a class asks for.

    Attributes:
        max_rel: The largest difference, as a share of the reference's largest number; ``None`` where it is not limited.
        cosine_mean: The least mean cosine of corresponding vectors.
        cosine_min: The least cosine of any two corresponding vectors.
    """

    max_rel: float | None
    cosine_mean: float
    cosine_min: float

    def accepts(self, agreement: Agreement) -> bool:
        """Whether an agreement is good enough. One with NaN never is."""
        within = self.max_rel is None or agreement.max_rel <= self.max_rel
        return within and agreement.cosine_mean >= self.cosine_mean and agreement.cosine_min >= self.cosine_min


TOLERANCES = {
    ParityClass.EXACT: Tolerance(max_rel=1e-5, cosine_mean=0.999999, cosine_min=0.999999),
    ParityClass.CLOSE: Tolerance(max_rel=0.02, cosine_mean=0.9999, cosine_min=0.9999),
    ParityClass.QUANTIZED: Tolerance(max_rel=0.5, cosine_mean=0.995, cosine_min=0.98),
}
"""What each class asks for. ``exact`` is what different orders of summation do to single precision; ``close`` holds for
half precision; ``quantized`` for eight bits. A cosine sees directions alone: the largest difference is limited as well,
so that outputs which are merely scaled do not pass."""

LEAST_CLASS = {
    Precision.FP32: ParityClass.CLOSE,
    Precision.FP16: ParityClass.CLOSE,
    Precision.BF16: ParityClass.QUANTIZED,
    Precision.INT8: ParityClass.QUANTIZED,
}
"""The class that an artifact must reach to be let into a package. ``bf16`` has 8 bits of mantissa, like ``int8``."""


@dataclass(frozen=True)
class Agreement:
    """Measured agreement over all samples and outputs. Positions that are padding do not count.

    Attributes:
        max_abs: The largest absolute difference.
        max_rel: The largest absolute difference, as a share of the largest absolute number of that output.
        cosine_mean: The mean cosine of corresponding vectors: of each token, or of each row.
        cosine_min: The least cosine.
        argmax_agreement: The share of logits whose largest number stands in the same place; ``None`` without logits.
        ranking_agreement: Of all pairs of rows of a call that the reference tells apart, the share that stand in the
            same order (Kendall's tau from 0 to 1, ties of the reference left out); ``None`` where nothing is ranked.
    """

    max_abs: float
    max_rel: float
    cosine_mean: float
    cosine_min: float
    argmax_agreement: float | None
    ranking_agreement: float | None = None

    def __str__(self) -> str:
        return (
            f"max abs difference {self.max_abs:.2g}, relative {self.max_rel:.2g}, "
            f"cosine mean {self.cosine_mean:.6f}, min {self.cosine_min:.6f}"
        )


DISAGREEMENT = Agreement(
    max_abs=float("inf"), max_rel=float("inf"), cosine_mean=-1.0, cosine_min=-1.0, argmax_agreement=None
)
"""What is measured where outputs cannot be compared: one is missing, of another shape, or holds NaN."""


def measure(
    specs: Sequence[TensorSpec],
    batches: Sequence[SampleBatch],
    outputs: Sequence[Mapping[str, npt.NDArray[Any]]],
    *,
    ranks: bool = False,
    scales: Mapping[str, float] | None = None,
) -> Agreement:
    """Measures how well outputs agree with the reference's.

    Args:
        specs: The outputs that are compared.
        batches: The sample calls, with the reference's outputs.
        outputs: The outputs that are measured, by name, for each call.
        ranks: Whether the rows of a call are ranked by their first number.
        scales: The number of which differences are a share, by output; ``None`` for the largest of each call.

    Returns:
        The worst of all calls and outputs; for the mean cosine, the mean over all vectors.
    """
    pairs = [
        (spec, _vectors(spec, batch.outputs.get(spec.name), batch), _vectors(spec, actual.get(spec.name), batch))
        for batch, actual in zip(batches, outputs, strict=True)
        for spec in specs
    ]
    pairs = [pair for pair in pairs if pair[1] is None or pair[1].size]
    if not pairs:
        return DISAGREEMENT
    absolute, relative, cosines, hits, orders = [], [], [], [], []
    for spec, expected, actual in pairs:
        if expected is None or actual is None or actual.shape != expected.shape:
            return DISAGREEMENT
        if not (np.isfinite(expected).all() and np.isfinite(actual).all()):
            return DISAGREEMENT
        difference = float(np.abs(actual - expected).max())
        scale = _scale(expected) if scales is None else scales[spec.name]
        absolute.append(difference)
        relative.append(difference / scale)
        cosines.append(_cosines(expected, actual, scale))
        if ranks:
            orders.append(_same_order(expected[:, 0], actual[:, 0]))
        elif spec.name == _LOGITS:
            hits.append(expected.argmax(axis=1) == actual.argmax(axis=1))
    joined = np.concatenate(cosines)
    return Agreement(
        max_abs=max(absolute),
        max_rel=max(relative),
        cosine_mean=float(joined.mean()),
        cosine_min=float(joined.min()),
        argmax_agreement=_share(hits),
        ranking_agreement=_share(orders),
    )


def classify(agreement: Agreement, least: ParityClass, tolerance: Tolerance | None = None) -> ParityClass:
    """Finds the best class that an agreement reaches.

    Args:
        agreement: What was measured.
        least: The worst class that will do.
        tolerance: What it must reach in the place of ``least``, where its operator chose that.

    Returns:
        The class; ``fail`` where it is worse than ``least``, or than the tolerance.
    """
    if tolerance is not None:
        if not tolerance.accepts(agreement):
            return ParityClass.FAIL
        least = ParityClass.QUANTIZED
    for parity_class, needed in TOLERANCES.items():
        if needed.accepts(agreement):
            return parity_class
        if parity_class is least:
            break
    return ParityClass.FAIL if tolerance is None else ParityClass.QUANTIZED


def measure_rows(
    specs: Sequence[TensorSpec], batch: SampleBatch, actual: Mapping[str, npt.NDArray[Any]]
) -> list[Agreement]:
    """Measures each row of a call by itself; a single row stands for a call whose outputs are not of rows.

    Differences are a share of the largest number of the call: a row that is close to zero is no worse for that.

    Args:
        specs: The outputs that are compared.
        batch: The call, with the reference's outputs.
        actual: The outputs that are measured, by name.
    """
    arrays = [*batch.inputs.values(), *batch.outputs.values(), *actual.values()]
    rows = {len(array) if array.ndim else 0 for array in arrays}
    if len(rows) != 1 or any(spec.dims[:1] != (BATCH,) for spec in specs):
        return [measure(specs, [batch], [actual])]

    whole = {spec.name: _vectors(spec, batch.outputs.get(spec.name), batch) for spec in specs}
    scales = {name: _scale(vectors) for name, vectors in whole.items() if vectors is not None and vectors.size}

    def row(arrays: Mapping[str, npt.NDArray[Any]], index: int) -> dict[str, npt.NDArray[Any]]:
        return {name: array[index : index + 1] for name, array in arrays.items()}

    return [
        measure(
            specs,
            [SampleBatch(row(batch.inputs, index), row(batch.outputs, index))],
            [row(actual, index)],
            scales=scales,
        )
        for index in range(rows.pop())
    ]


def _share(hits: Sequence[npt.NDArray[np.bool_]]) -> float | None:
    joined = np.concatenate(hits) if hits else np.empty(0, dtype=np.bool_)
    return float(joined.mean()) if joined.size else None


def _same_order(expected: npt.NDArray[np.float64], actual: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """For each pair of rows that the reference tells apart, whether they stand in the same order."""
    first, second = np.triu_indices(len(expected), k=1)
    told_apart = expected[first] - expected[second]
    same = np.sign(actual[first] - actual[second]) == np.sign(told_apart)
    ranked: npt.NDArray[np.bool_] = same[told_apart != 0]
    return ranked


def _vectors(spec: TensorSpec, array: npt.NDArray[Any] | None, batch: SampleBatch) -> npt.NDArray[np.float64] | None:
    """The vectors of an output, padding left out; shape ``[vectors, width]``. ``None`` where the shape is wrong."""
    if array is None or array.ndim != len(spec.dims):
        return None
    wide: npt.NDArray[np.float64] = array.astype(np.float64)
    mask = batch.inputs.get(_MASK)
    if mask is not None and spec.dims[:1] == (BATCH,) and SEQUENCE in spec.dims[1:]:
        axes = [axis for axis, dim in enumerate(spec.dims) if dim == SEQUENCE]
        wide = np.moveaxis(wide, axes, range(1, len(axes) + 1))
        if any(wide.shape[:1] + wide.shape[axis : axis + 1] != mask.shape for axis in range(1, len(axes) + 1)):
            return None
        wide = wide[_kept(mask != 0, len(axes))]
    return wide.reshape(len(wide), prod(wide.shape[1:])) if wide.ndim else wide.reshape(1, 1)


def _kept(mask: npt.NDArray[np.bool_], axes: int) -> npt.NDArray[np.bool_]:
    """Where every one of several positions is no padding; shape ``[batch, seq, seq, …]``."""
    kept = mask
    for _ in range(axes - 1):
        kept = kept[..., None] & mask.reshape(len(mask), *[1] * (kept.ndim - 1), mask.shape[1])
    return kept


def _cosines(
    expected: npt.NDArray[np.float64], actual: npt.NDArray[np.float64], scale: float
) -> npt.NDArray[np.float64]:
    """The cosine of each two vectors; 1 where both are zero, 0 where one is.

    Single numbers have no direction. For them it is the cosine that two vectors of the same length have whose
    difference is the same share of that length as theirs is of the largest number.
    """
    if expected.shape[1] == 1:
        share = (actual - expected)[:, 0] / scale
        return np.maximum(1.0 - share**2 / 2, -1.0)
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(actual, axis=1)
    both_zero = ~expected.any(axis=1) & ~actual.any(axis=1)
    cosines = (expected * actual).sum(axis=1) / np.where(lengths == 0, 1, lengths)
    return np.where(both_zero, 1.0, cosines)


def _scale(expected: npt.NDArray[np.float64]) -> float:
    """The largest absolute number, and never zero."""
    return max(float(np.abs(expected).max()), _TINY)
