"""The measurement of outputs' agreement with the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import BATCH, MASK, SEQUENCE, TensorSpec
from inferox.parity.samples import SampleBatch
from inferox.parity.tolerance import DISAGREEMENT, Agreement, Decisions

_LOGITS = "logits"
_TINY = float(np.finfo(np.float32).tiny)

_NO_DIRECTION = 1e-5
"""The length, as a share of the output's largest number, up to which a vector is nothing but rounding: the largest
difference of the class ``exact``."""


def measure(
    specs: Sequence[TensorSpec],
    batches: Sequence[SampleBatch],
    outputs: Sequence[Mapping[str, npt.NDArray[Any]]],
    *,
    ranks: bool = False,
    tie: float = 0.0,
    scales: Mapping[str, float] | None = None,
) -> Agreement:
    """Measures the agreement of outputs with the reference's.

    Args:
        specs: The outputs to compare.
        batches: The sample calls, with the reference's outputs.
        outputs: The outputs to measure, by name, for each call.
        ranks: Whether the rows of a call are ranked by their first number.
        tie: The margin up to which the reference decides nothing by order; see ``Tolerance``.
        scales: The number relative to which differences are stated, by output; ``None`` for the largest of these calls.

    Returns:
        The worst figures of all calls and outputs; for the mean cosine, the mean over all vectors. Infinities, as in
        masked logits, agree with equal ones in the same places; NaN agrees with nothing. Outputs without elements agree
        with those of the same shape; if none has elements, nothing is known to agree.
    """
    scales = find_scales(specs, batches) if scales is None else scales
    pairs = [
        (spec, _vectors(spec, batch.outputs.get(spec.name), batch), _vectors(spec, actual.get(spec.name), batch))
        for batch, actual in zip(batches, outputs, strict=True)
        for spec in specs
    ]
    absolute, relative, cosines, decisions = [], [], [], []
    for spec, expected, actual in pairs:
        if expected is None or actual is None or actual.shape != expected.shape:
            return DISAGREEMENT
        if not expected.size:
            continue
        if not np.array_equal(_not_finite(expected), _not_finite(actual)):
            return DISAGREEMENT
        scale, wanted, found = scales[spec.name], _finite(expected), _finite(actual)
        difference = float(np.abs(found - wanted).max())
        absolute.append(difference)
        relative.append(difference / scale)
        cosines.append(_cosines(wanted, found, scale))
        if ranks:
            decisions.append(_ranked_pairs(expected[:, 0], actual[:, 0], scale))
        elif spec.name == _LOGITS and expected.shape[1] > 1:
            decisions.append(_largest_numbers(expected, actual, scale))
    if not cosines:
        return DISAGREEMENT
    joined, decided = np.concatenate(cosines), _join(decisions)
    share = decided.agreement(tie)
    return Agreement(
        max_abs=max(absolute),
        max_rel=max(relative),
        cosine_mean=float(joined.mean()),
        cosine_min=float(joined.min()),
        argmax_agreement=None if ranks else share,
        ranking_agreement=share if ranks else None,
        decisions=decided,
    )


def measure_rows(
    specs: Sequence[TensorSpec],
    batch: SampleBatch,
    actual: Mapping[str, npt.NDArray[Any]],
    *,
    tie: float = 0.0,
    scales: Mapping[str, float] | None = None,
) -> list[Agreement]:
    """Measures each row of a call by itself; a call whose outputs have no rows counts as a single row.

    Args:
        specs: The outputs to compare.
        batch: The call, with the reference's outputs.
        actual: The outputs to measure, by name.
        tie: The margin up to which the reference decides nothing by order; see ``Tolerance``.
        scales: The number relative to which differences are stated, by output; ``None`` for the largest of the call.
    """
    scales = find_scales(specs, [batch]) if scales is None else scales
    arrays = [*batch.inputs.values(), *batch.outputs.values(), *actual.values()]
    rows = {len(array) if array.ndim else 0 for array in arrays}
    if len(rows) != 1 or any(spec.dims[:1] != (BATCH,) for spec in specs):
        return [measure(specs, [batch], [actual], tie=tie, scales=scales)]

    def row(arrays: Mapping[str, npt.NDArray[Any]], index: int) -> dict[str, npt.NDArray[Any]]:
        return {name: array[index : index + 1] for name, array in arrays.items()}

    return [
        measure(
            specs,
            [SampleBatch(row(batch.inputs, index), row(batch.outputs, index))],
            [row(actual, index)],
            tie=tie,
            scales=scales,
        )
        for index in range(rows.pop())
    ]


def is_nothing_alike(
    specs: Sequence[TensorSpec], expected: Sequence[SampleBatch], actual: Sequence[Mapping[str, npt.NDArray[Any]]]
) -> bool:
    """Returns whether nothing compared has any elements, and all shapes equal the reference's.

    Args:
        specs: The outputs to compare.
        expected: The sample calls, with the reference's outputs.
        actual: The outputs to measure, by name, for each call.
    """
    pairs = [
        (batch.outputs.get(spec.name), found.get(spec.name))
        for batch, found in zip(expected, actual, strict=True)
        for spec in specs
    ]
    return bool(pairs) and all(
        wanted is not None and found is not None and not wanted.size and found.shape == wanted.shape
        for wanted, found in pairs
    )


def find_scales(specs: Sequence[TensorSpec], batches: Sequence[SampleBatch]) -> dict[str, float]:
    """Finds the scale of each output's differences: the largest absolute number over all calls; never 0.

    All calls share one number, so that a row near zero is not judged worse, whichever rows it was computed with.

    Args:
        specs: The outputs to compare.
        batches: The sample calls, with the reference's outputs.
    """
    scales = {}
    for spec in specs:
        vectors = [_vectors(spec, batch.outputs.get(spec.name), batch) for batch in batches]
        numbers = [np.abs(found[np.isfinite(found)]) for found in vectors if found is not None]
        scales[spec.name] = max([_TINY, *(float(found.max()) for found in numbers if found.size)])
    return scales


def _not_finite(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns the infinities and NaN of an array, with zeros elsewhere. NaN differs from everything, even itself."""
    return np.where(np.isfinite(vectors), 0.0, vectors)


def _finite(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(np.isfinite(vectors), vectors, 0.0)


def _join(decisions: Sequence[Decisions]) -> Decisions:
    margins = [np.empty(0), *(item.margins for item in decisions)]
    same = [np.empty(0, dtype=np.bool_), *(item.same for item in decisions)]
    return Decisions(np.concatenate(margins), np.concatenate(same))


def _ranked_pairs(expected: npt.NDArray[np.float64], actual: npt.NDArray[np.float64], scale: float) -> Decisions:
    """Returns, for each pair of rows, whether they are in the same order."""
    first, second = np.triu_indices(len(expected), k=1)
    with np.errstate(invalid="ignore"):  # equal infinities, which are not a decision
        gaps, found = expected[first] - expected[second], actual[first] - actual[second]
    return Decisions(np.abs(gaps) / scale, np.sign(found) == np.sign(gaps))


def _largest_numbers(expected: npt.NDArray[np.float64], actual: npt.NDArray[np.float64], scale: float) -> Decisions:
    """Returns, for each row, whether its largest number is in the same place."""
    rows, right, taken = np.arange(len(expected)), expected.argmax(axis=1), actual.argmax(axis=1)
    same = right == taken
    rival = np.where(same, np.partition(expected, -2, axis=1)[:, -2], expected[rows, taken])
    with np.errstate(invalid="ignore"):  # equal infinities, which are not a decision
        return Decisions((expected[rows, right] - rival) / scale, same)


def _vectors(spec: TensorSpec, array: npt.NDArray[Any] | None, batch: SampleBatch) -> npt.NDArray[np.float64] | None:
    """Returns the vectors of an output without padding; shape ``[vectors, width]``. ``None`` if the shape is wrong."""
    if array is None or array.ndim != len(spec.dims):
        return None
    wide: npt.NDArray[np.float64] = array.astype(np.float64)
    mask = batch.inputs.get(MASK)
    if mask is not None and spec.dims[:1] == (BATCH,) and SEQUENCE in spec.dims[1:]:
        axes = [axis for axis, dim in enumerate(spec.dims) if dim == SEQUENCE]
        wide = np.moveaxis(wide, axes, range(1, len(axes) + 1))
        if any(wide.shape[:1] + wide.shape[axis : axis + 1] != mask.shape for axis in range(1, len(axes) + 1)):
            return None
        wide = wide[_kept(mask != 0, len(axes))]
    return wide.reshape(len(wide), prod(wide.shape[1:])) if wide.ndim else wide.reshape(1, 1)


def _kept(mask: npt.NDArray[np.bool_], axes: int) -> npt.NDArray[np.bool_]:
    """Makes the mask of the places whose positions are all attended; shape ``[batch, seq, seq, …]``."""
    kept = mask
    for _ in range(axes - 1):
        kept = kept[..., None] & mask.reshape(len(mask), *[1] * (kept.ndim - 1), mask.shape[1])
    return kept


def _cosines(
    expected: npt.NDArray[np.float64], actual: npt.NDArray[np.float64], scale: float
) -> npt.NDArray[np.float64]:
    """Computes the cosine of each pair of vectors; 0 if only one of them is zero.

    Single numbers have no direction, and vectors that are nothing but rounding have no meaningful one. For them, it is
    the cosine of two vectors as long as the output's largest number whose difference is as large as theirs.
    """
    lengths = np.linalg.norm(expected, axis=1)
    products = lengths * np.linalg.norm(actual, axis=1)
    cosines: npt.NDArray[np.float64] = (expected * actual).sum(axis=1) / np.where(products == 0, 1, products)
    shares = np.linalg.norm(actual - expected, axis=1) / scale
    undirected = (lengths <= _NO_DIRECTION * scale) | (expected.shape[1] == 1)
    cosines[undirected] = np.maximum(1.0 - shares[undirected] ** 2 / 2, -1.0)
    return cosines
