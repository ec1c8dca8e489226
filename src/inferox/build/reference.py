"""The samples of a package: varied inputs, and what the reference makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.batching import Row, pad_rows
from inferox.core import Artifact, BackendError, Layout, ManifestError, ShapeMismatchError, Signature, SourceModel
from inferox.package import ArtifactEvidence, SampleBatch, Samples
from inferox.sources.measure import stretch
from inferox.tasks import Task

Arrays = Mapping[str, npt.NDArray[Any]]

_FEW = 3


def compute_samples(source: SourceModel, task: Task) -> Samples:
    """Runs the reference over varied inputs.

    A source that brings example inputs is sampled with those: as they are, and cut off or repeated to other extents of
    each named dim, as far as the source takes them. Otherwise the task makes the inputs: rows of different lengths in
    mixed batches.

    Args:
        source: The model.
        task: What its numbers mean.

    Raises:
        ManifestError: If the reference gives NaN or nothing but infinity, which no artifact could be compared with.
    """
    examples = source.example_inputs
    if examples is None:
        encoded = (task.encode(items) for items in task.samples())
        return Samples(tuple(batch for rows in encoded for batch in _compute_rows(source, task, rows)))
    batches = [_compute(source, examples)]
    for inputs in _varied(examples, source.signature):
        # Where the model itself gives no numbers, nothing is asked of its artifacts.
        with suppress(BackendError, ManifestError):
            batches.append(_compute(source, inputs))
    return Samples(tuple(batches))


def _compute_rows(source: SourceModel, task: Task, rows: Sequence[Row]) -> list[SampleBatch]:
    """Computes rows in one batch; or one by one, where the model does not take them together.

    BART, for one, refuses a batch whose rows have different numbers of end tokens.
    """
    try:
        return [_compute(source, pad_rows(rows, source.signature, task.fill))]
    except BackendError:
        if len(rows) == 1:
            raise
        return [_compute(source, pad_rows([row], source.signature, task.fill)) for row in rows]


def taken_samples(samples: Samples, signature: Signature) -> Samples:
    """The calls that an artifact takes: those that have the extents that it is fixed to.

    Args:
        samples: The calls.
        signature: The padded signature of the artifact.
    """
    return samples.with_batches(batch for batch in samples.batches if _takes(signature, batch.inputs))


def keep_common(
    samples: Samples, artifacts: Sequence[Artifact], evidence: Sequence[ArtifactEvidence], signature: Signature
) -> tuple[Samples, tuple[ArtifactEvidence, ...]]:
    """Leaves a package those samples that each of its artifacts takes, so that any of them can be measured again.

    Args:
        samples: The calls that artifacts were measured with, each with those that it takes.
        artifacts: The artifacts.
        evidence: How well each agrees, in the same order.
        signature: The padded signature of the model.

    Returns:
        The calls to be stored, and the evidence with its rows numbered by them.
    """
    signatures = [signature if artifact.layout is Layout.PACKED else artifact.signature for artifact in artifacts]
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
    """The examples with other extents of one named dim at a time: few, one more, and twice as many.

    A model that takes multiples only takes twice as many.
    """
    extents = {
        dim: extent
        for spec in signature.inputs
        for dim, extent in zip(spec.dims, examples[spec.name].shape, strict=True)
        if isinstance(dim, str)
    }
    for dim, extent in extents.items():
        for other in sorted({1, _FEW, extent + 1, 2 * extent} - {extent}):
            yield {spec.name: stretch(examples[spec.name], spec, dim, other) for spec in signature.inputs}


def _compute(source: SourceModel, inputs: Arrays) -> SampleBatch:
    outputs = source.compute(inputs)
    _check_numbers(outputs)
    return SampleBatch(dict(inputs), outputs)


def _check_numbers(outputs: Arrays) -> None:
    """Refuses NaN, and outputs of nothing but infinities. Some infinities are usual: masked logits are -inf."""
    for name, value in outputs.items():
        if value.dtype.kind != "f" or not value.size:
            continue
        if np.isnan(value).any() or np.isinf(value).all():
            raise ManifestError(
                f"the reference's output {name!r} has NaN, or nothing but infinite values, on the sample inputs",
                hint="check the weights: a model that gives no numbers cannot be compared with anything",
            )
