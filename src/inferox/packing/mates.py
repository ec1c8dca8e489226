"""Probes: calls in which sample rows are combined with rows made to disturb them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import BATCH, Batch, InferoxError, LoadError, Signature, SourceModel, pad_batch, to_cu_seqlens
from inferox.parity import Samples
from inferox.tasks import Task

Arrays = Mapping[str, npt.NDArray[Any]]

_IDS = "input_ids"

_VICTIMS = 3
"""The number of rows of a probe that are compared."""

_LONGEST = 64
"""The length of the long mates in tokens, if the model takes that many: every artifact computes each probe."""

_LOUDEST = 64
"""The number of tokens with the longest vectors from which a mate is drawn."""

_LOUD = 16.0
"""The factor by which a mate's numbers exceed those of a sample."""


def make_probes(source: SourceModel, task: Task, samples: Samples) -> tuple[Arrays, ...]:
    """Makes calls in which sample rows are combined with very long rows and rows with very large activations.

    Args:
        source: The model. A probe that it cannot compute is left out.
        task: The task of the model.
        samples: The sample calls.

    Returns:
        The inputs of each probe; empty if rows have no batch to share.
    """
    if source.example_inputs is None and _IDS in task.pad_values and _IDS in source.signature.input_names:
        probe: Arrays | None = _probe_texts(source, task)
    else:
        probe = _probe_tensors(samples, source.signature)
    return (probe,) if probe is not None and _computes(source, probe) else ()


def _probe_texts(source: SourceModel, task: Task) -> Arrays:
    batches = [task.encode(items) for items in task.samples()]
    victims = batches[-1].select(np.argsort(batches[-1].lengths, kind="stable")[-_VICTIMS:])
    samples = Batch.concatenate(batches)
    longest = samples.select([int(samples.lengths.argmax())])
    loud = _loud_ids(source)
    if loud is None:
        loud = np.unique(samples.ragged[_IDS])
    drawn = np.random.default_rng(0).choice(loud, _LONGEST)
    repeated = np.full(_LONGEST // 2, loud[0])
    mates = [_replace_inner(longest, ids) for ids in (drawn, repeated)]
    return pad_batch(Batch.concatenate([victims, *mates]), source.signature)


def _replace_inner(row: Batch, ids: npt.NDArray[Any]) -> Batch:
    """Replaces a row's tokens except the first and the last, which often mark its ends."""
    length = min(row.token_count, len(ids))
    kept = np.arange(row.token_count) < length - 1
    kept[-1] = True
    ragged = {name: array[kept] for name, array in row.ragged.items()}
    inner = ragged[_IDS].copy()
    inner[1:-1] = ids[: max(0, len(inner) - 2)]
    return Batch({**ragged, _IDS: inner}, row.dense, to_cu_seqlens(kept.sum(keepdims=True)), row.pad_values)


def _loud_ids(source: SourceModel) -> npt.NDArray[np.int64] | None:
    """Finds the tokens with the longest vectors in a model's table, the longest first; ``None`` without a table."""
    upper_bound = next((spec.upper_bound for spec in source.signature.inputs if spec.name == _IDS), None)
    try:
        module = source.module
    except LoadError:  # a graph of another runtime
        return None
    parts = module.modules() if hasattr(module, "modules") else ()
    for part in parts:
        if upper_bound is not None and getattr(part, "num_embeddings", None) == upper_bound:
            lengths = part.weight.detach().float().norm(dim=-1).numpy()
            return np.argsort(-lengths, kind="stable")[:_LOUDEST].astype(np.int64)
    return None


def _probe_tensors(samples: Samples, signature: Signature) -> Arrays | None:
    """Combines the first row of the smallest call with two rows whose numbers are many times as large."""
    rowwise = {spec.name for spec in signature.inputs if spec.dims[:1] == (BATCH,)}
    if not rowwise or not samples.batches:
        return None
    smallest = min(samples.batches, key=lambda batch: sum(array.size for array in batch.inputs.values()))
    return {
        name: np.concatenate([array[:1], *_disturb(array[:1])]) if name in rowwise else array
        for name, array in smallest.inputs.items()
    }


def _disturb(row: npt.NDArray[Any]) -> Sequence[npt.NDArray[Any]]:
    if row.dtype.kind == "f" and len(np.unique(row)) > 2:  # noqa: PLR2004 - of a mask
        return [(row * factor).astype(row.dtype) for factor in (_LOUD, -_LOUD)]
    # Integers may be indices: other numbers of the same row are certainly in range.
    return [np.roll(row, 1, axis=-1), row[..., ::-1]] if row.ndim > 1 else [row, row]


def _computes(source: SourceModel, inputs: Arrays) -> bool:
    try:
        source.compute(inputs)
    except InferoxError:
        return False
    return True
