"""The samples of a package: varied inputs, and the reference's outputs for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.batching import group_alike
from inferox.core import (
    Artifact,
    BackendError,
    Batch,
    ManifestError,
    ShapeMismatchError,
    Signature,
    SourceModel,
    pad_batch,
)
from inferox.parity import ArtifactEvidence, SampleBatch, Samples
from inferox.sources.measure import stretch
from inferox.tasks import RawTask, Task

Arrays = Mapping[str, npt.NDArray[Any]]

_FEW = 3

_NEXT_TO_NOTHING = 1e-3
"""The share of an output's largest number over all calls below which a call's numbers are negligible."""

_LEAST_BUDGET_BYTES = 2**17
_BUDGET_SHARE = 0.1
"""The size limit of samples, as a share of the model's size, but at least 128 KiB."""


def compute_samples(source: SourceModel, task: Task) -> Samples:
    """Runs the reference on varied inputs.

    A source with example inputs is sampled with those: unchanged, and cut or repeated to other extents of each named
    dim, as far as the source takes them. Otherwise the task makes the inputs: rows of different lengths in mixed
    batches.

    Args:
        source: The model.
        task: The task of the model.

    Raises:
        ManifestError: If the reference gives NaN, with which no artifact could be compared.
    """
    examples = source.example_inputs
    if uses_task_samples(source, task):
        encoded = [task.encode(items) for items in task.samples()]
        groups = (rows.select(group) for rows in encoded for group in group_alike(rows, source.signature).values())
        return Samples(tuple(batch for rows in groups for batch in _compute_rows(source, rows)))
    others = source.probe_inputs or (() if examples is None else tuple(_varied(examples, source.signature)))
    first, *others = others if examples is None else (examples, *others)
    batches = [_compute(source, first)]
    for inputs in others:
        # Where the model itself gives no numbers, nothing is required of its artifacts.
        with suppress(BackendError, ManifestError):
            batches.append(_compute(source, inputs))
    if examples is None:
        return Samples(_within_budget(_lively(batches), source, at_least=0))
    return Samples(_within_budget(batches, source, at_least=1))


def uses_task_samples(source: SourceModel, task: Task) -> bool:
    """Returns whether the task makes a model's samples. The source does where the meaning of the numbers is unknown.

    Args:
        source: The model.
        task: The task of the model.
    """
    return source.example_inputs is None and not (task.name == RawTask.name and source.probe_inputs)


def _compute_rows(source: SourceModel, rows: Batch) -> list[SampleBatch]:
    """Computes rows in one batch, or one by one if the model does not take them together.

    A model without a mask takes no padding, and some refuse rows with different numbers of end tokens.
    """
    try:
        return [_compute(source, pad_batch(rows, source.signature))]
    except (BackendError, ShapeMismatchError):
        if len(rows) == 1:
            raise
        return [_compute(source, pad_batch(rows.select([index]), source.signature)) for index in range(len(rows))]


def taken_samples(samples: Samples, signature: Signature) -> Samples:
    """Returns the calls that an artifact takes: those with its fixed extents.

    Args:
        samples: The calls.
        signature: The padded signature of the artifact.
    """
    return samples.with_batches(batch for batch in samples.batches if _takes(signature, batch.inputs))


def keep_common(
    samples: Samples, artifacts: Sequence[Artifact], evidence: Sequence[ArtifactEvidence]
) -> tuple[Samples, tuple[ArtifactEvidence, ...]]:
    """Keeps the samples that all artifacts of a package take, so that any of them can be measured again.

    Args:
        samples: The calls with which artifacts were measured, each with those that it takes.
        artifacts: The artifacts.
        evidence: The evidence of each, in the same order.

    Returns:
        The calls to store, and the evidence with its rows renumbered to match.
    """
    signatures = [artifact.padded_signature for artifact in artifacts]
    common = samples
    for each in signatures:
        common = taken_samples(common, each)
    stored = {id(batch): call for call, batch in enumerate(common.batches)}

    def number(item: ArtifactEvidence, taken: Samples) -> ArtifactEvidence:
        calls = {call: stored[id(batch)] for call, batch in enumerate(taken.batches) if id(batch) in stored}
        return replace(item, rows=tuple(replace(row, call=calls[row.call]) for row in item.rows if row.call in calls))

    return common, tuple(
        number(item, taken_samples(samples, each)) for item, each in zip(evidence, signatures, strict=True)
    )


def _takes(signature: Signature, inputs: Arrays) -> bool:
    try:
        signature.check_inputs(inputs)
    except ShapeMismatchError:
        return False
    return True


def _varied(examples: Arrays, signature: Signature) -> Iterator[Arrays]:
    """Yields the examples with other extents of one named dim at a time: few, one more, and twice as many.

    A model that only takes multiples takes twice as many. None exceeds the dim's limit.
    """
    extents = {
        dim: extent
        for spec in signature.inputs
        for dim, extent in zip(spec.dims, examples[spec.name].shape, strict=True)
        if isinstance(dim, str)
    }
    for dim, extent in extents.items():
        limit = signature.limits.get(dim, 2 * extent)
        for other in sorted({1, _FEW, *(min(more, limit) for more in (extent + 1, 2 * extent))} - {extent}):
            yield {spec.name: stretch(examples[spec.name], spec, dim, other) for spec in signature.inputs}


def _lively(batches: Sequence[SampleBatch]) -> list[SampleBatch]:
    """Keeps the calls with made-up inputs that exercise the model.

    If its outputs are negligible, as from a detector that finds nothing, only rounding would be compared.
    """
    largest: dict[str, float] = {}
    for batch in batches:
        for name, number in _largest_numbers(batch).items():
            largest[name] = max(number, largest.get(name, 0.0))
    return [
        batch
        for batch in batches
        if all(number >= _NEXT_TO_NOTHING * largest[name] for name, number in _largest_numbers(batch).items())
    ] or list(batches)


def _largest_numbers(batch: SampleBatch) -> dict[str, float]:
    """Returns the largest finite number of each floating-point output that has any."""
    finite = {
        name: np.abs(value[np.isfinite(value)]) for name, value in batch.outputs.items() if value.dtype.kind == "f"
    }
    return {name: float(numbers.max()) for name, numbers in finite.items() if numbers.size}


def _within_budget(batches: Sequence[SampleBatch], source: SourceModel, *, at_least: int) -> tuple[SampleBatch, ...]:
    """Keeps as many calls as a package has room for: the largest are dropped first, but the first ``at_least`` stay."""
    budget_bytes = max(_LEAST_BUDGET_BYTES, int(_BUDGET_SHARE * source.size_bytes))
    kept = list(batches)
    while len(kept) > 1 and sum(map(_size_bytes, kept)) > budget_bytes:
        del kept[max(range(at_least, len(kept)), key=lambda index: _size_bytes(kept[index]))]
    return tuple(kept)


def _size_bytes(batch: SampleBatch) -> int:
    return sum(array.nbytes for arrays in (batch.inputs, batch.outputs) for array in arrays.values())


def _compute(source: SourceModel, inputs: Arrays) -> SampleBatch:
    outputs = source.compute(inputs)
    _check_numbers(outputs)
    return SampleBatch(dict(inputs), outputs)


def _check_numbers(outputs: Arrays) -> None:
    """Refuses NaN. Infinities are compared as they are: masked logits are -inf."""
    for name, value in outputs.items():
        if value.dtype.kind == "f" and np.isnan(value).any():
            raise ManifestError(
                f"the reference's output {name!r} has NaN on the sample inputs",
                hint="check the weights: a model that gives no numbers cannot be compared with anything",
            )
