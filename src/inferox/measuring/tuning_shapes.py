"""The sizes of calls that tuning measures, and the inputs of such calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.batching import MAX_TOKENS
from inferox.core import BATCH, MASK, SEQUENCE, Signature, can_be_packed
from inferox.loading.context import PackageContext
from inferox.parity import Samples
from inferox.tasks import Task
from inferox.tasks.files.texts import read_text_options

_ROWS = (1, 4, 16, 64)
_LENGTHS = (8, 32, 128, 512)

Shape = tuple[int, int]
"""The size of a call: the number of rows, and the length of the longest in tokens."""

_SHORTEST = 1 / 8
"""The length of the shortest row of a measured call, as a share of the longest.

The logarithms of the lengths in between are evenly spread, as those of texts are. In calls whose rows are all of one
length, which need no padding, padded artifacts are faster by up to 15% than packed ones, which compute 16 texts of
mixed lengths in 15 to 20% less time (all-MiniLM-L6-v2 on three runtimes).
"""


def plan_shapes(context: PackageContext, samples: Samples, task: Task) -> list[Shape]:
    """Plans the calls to measure, shorter ones first: rows and lengths as far as the model takes them.

    Args:
        context: The package.
        samples: Its samples, the longest of which is the limit if no other is stated.
        task: The task, which limits the rows of a batch.
    """
    signature = context.package.info.signature
    named = {dim for spec in signature.inputs for dim in spec.dims if isinstance(dim, str)}
    if BATCH not in named:
        return [(1, 1)]
    counts = sorted({min(rows, task.max_rows, signature.limits.get(BATCH, rows)) for rows in _ROWS})
    if SEQUENCE not in named:
        return [(rows, 1) for rows in counts]
    longest = _longest(context, samples)
    lengths = sorted({min(length, longest) for length in _LENGTHS})
    return [(rows, length) for length in lengths for rows in counts if rows == 1 or rows * length <= MAX_TOKENS]


def _longest(context: PackageContext, samples: Samples) -> int:
    """Returns the most tokens of a row that the model takes, if known; otherwise those of the longest sample."""
    package = context.package
    sampled = max(
        batch.inputs[spec.name].shape[axis]
        for batch in samples.batches
        for spec in package.info.signature.inputs
        for axis, dim in enumerate(spec.dims)
        if dim == SEQUENCE
    )
    files = read_text_options(package.files_root, package.config)
    stated = (
        package.info.task_options.get("max_length"),
        package.info.signature.limits.get(SEQUENCE),
        files["max_length"],
    )
    return min((limit for limit in stated if isinstance(limit, int)), default=sampled)


def make_batch(signature: Signature, samples: Samples, shape: Shape) -> dict[str, npt.NDArray[Any]]:
    """Makes a call's rows as a padded batch from the numbers of a stored sample, repeated to the shape.

    Where rows may have different lengths, they are spread like those of texts, the longest first.

    Args:
        signature: The model's inputs, with the dims for rows and length.
        samples: The package's samples.
        shape: The number of rows, and the length of the longest in tokens.

    Returns:
        The array of each input, by its name.
    """
    rows, length = shape
    largest = max(samples.batches, key=lambda batch: sum(array.size for array in batch.inputs.values()))
    extents = {BATCH: rows, SEQUENCE: length}
    batch = {}
    for spec in signature.inputs:
        array = largest.inputs[spec.name]
        for axis, dim in enumerate(spec.dims):
            if dim in extents:
                array = array.take(np.arange(extents[dim]) % array.shape[axis], axis=axis)
        batch[spec.name] = np.asarray(array, order="C")
    if MASK in batch:
        batch[MASK] = np.ones_like(batch[MASK])
        if can_be_packed(signature):
            lengths = np.ceil(length * np.geomspace(1, _SHORTEST, rows))
            batch[MASK] *= np.arange(length) < lengths[:, None]
    return batch


def count_tokens(batch: Mapping[str, npt.NDArray[Any]], shape: Shape) -> tuple[int, int]:
    """Counts the tokens of a batch without padding; without a mask, every place is a token.

    Args:
        batch: The array of each input.
        shape: The shape for which it was made.

    Returns:
        The number of tokens, and the sum of the rows' squared lengths.
    """
    rows, length = shape
    lengths = batch[MASK].sum(axis=-1) if MASK in batch else np.full(rows, length)
    return int(lengths.sum()), int((lengths**2).sum())
