"""The samples of a package: varied inputs, and what the reference makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.batching import pad_rows
from inferox.core import BATCH, ManifestError, SourceModel
from inferox.package import SampleBatch, Samples
from inferox.tasks import Task


def compute_samples(source: SourceModel, task: Task) -> Samples:
    """Runs the reference over varied inputs.

    A source that brings example inputs is sampled with those: as they are, and the first row alone, so that a batch
    is compared with a single row. Otherwise the task makes the inputs: rows of different lengths in mixed batches.

    Args:
        source: The model.
        task: What its numbers mean.

    Raises:
        ManifestError: If the reference gives NaN or infinity, which no artifact could be compared with.
    """
    batches = []
    for inputs in _sample_inputs(source, task):
        outputs = source.compute(inputs)
        _check_finite(outputs)
        batches.append(SampleBatch(inputs, outputs))
    return Samples(tuple(batches))


def _sample_inputs(source: SourceModel, task: Task) -> Iterator[dict[str, npt.NDArray[Any]]]:
    examples = source.example_inputs
    if examples is not None:
        yield dict(examples)
        if all(spec.dims[:1] == (BATCH,) for spec in source.signature.inputs):
            yield {name: np.ascontiguousarray(value[:1]) for name, value in examples.items()}
        return
    for items in task.samples():
        yield pad_rows(task.encode(items), source.signature, task.fill)


def _check_finite(outputs: Mapping[str, npt.NDArray[Any]]) -> None:
    for name, value in outputs.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ManifestError(
                f"the reference's output {name!r} has NaN or infinite values on the sample inputs",
                hint="check the weights: a model that gives no numbers cannot be compared with anything",
            )
