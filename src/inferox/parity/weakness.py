"""Checks that samples exercise a model: evidence from those that do not is weak."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.parity.parity_target import ParityTarget
from inferox.parity.samples import SampleBatch, Samples

_SETTINGS = ("mask", "type", "segment", "len")
"""Parts of the names of inputs that legitimately hold the same number throughout in many calls."""


def find_weakness(samples: Samples, parity_target: ParityTarget) -> str | None:
    """Finds why samples exercise a model too little, if they do.

    Args:
        samples: The sample calls, with the reference's outputs.
        parity_target: The part of the outputs to compare.

    Returns:
        Why agreement on them proves little: an input is the same number throughout, or an output has no elements or is
        the same for every input. ``None`` if the samples exercise the model.
    """
    return next(_reasons(samples.batches, parity_target.reference(samples)), None)


def _reasons(calls: Sequence[SampleBatch], compared: Sequence[SampleBatch]) -> Iterator[str]:
    for name in calls[0].inputs if calls else ():
        arrays = [call.inputs[name] for call in calls]
        if any(part in name.lower() for part in _SETTINGS) or max(array.size for array in arrays) <= 1:
            continue
        numbers = _distinct([array.ravel() for array in arrays])
        if len(numbers) == 1:
            yield f"every number of the input {name!r} is {float(numbers[0]):.6g} in the samples"
    for name in compared[0].outputs if compared else ():
        arrays = [call.outputs[name] for call in compared]
        numbers = _distinct([array.ravel() for array in arrays])
        if not len(numbers):
            yield f"the output {name!r} has no elements in the samples"
        elif len(numbers) == 1 and sum(array.size for array in arrays) > 1:
            yield f"every number of the output {name!r} is {float(numbers[0]):.6g} in the samples"
        elif _is_same_for_all(arrays):
            yield f"the output {name!r} is the same for every sample"


def _distinct(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Returns two different numbers of the arrays, if there are two."""
    joined = np.concatenate(arrays) if arrays else np.empty(0)
    different = joined[joined != joined[0]] if joined.size else joined
    return np.concatenate([joined[:1], different[:1]])


def _is_same_for_all(arrays: Sequence[npt.NDArray[Any]]) -> bool:
    rows = [row for array in arrays for row in (array if array.ndim else array[None])]
    return len(rows) > 1 and len({(row.shape, row.tobytes()) for row in rows}) == 1
