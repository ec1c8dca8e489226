"""The search for rows whose outputs are NaN or infinite although their inputs are finite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from inferox.core import Batch, Outputs


def find_non_finite(batch: Batch, outputs: Outputs, answers: Sequence[Any]) -> dict[int, bool]:
    """Finds the rows of finite inputs with NaN in an output, or an infinity in their answer.

    An infinity in an output alone is not a fault: models mask logits with it.

    Args:
        batch: The rows.
        outputs: The model's outputs for them.
        answers: The task's answers from those outputs.

    Returns:
        The rows, and whether each has NaN, which may have come from another row of the batch.
    """
    return {
        row: has_nan
        for row, has_nan in outputs.find_non_finite().items()
        if (has_nan or not is_finite(answers[row])) and is_finite(batch[row])
    }


def is_finite(value: Any) -> bool:
    """Returns whether all numbers of an item or an answer are finite, such as those of arrays, or scores of labels.

    Args:
        value: The item or the answer.
    """
    if isinstance(value, str | bytes | int | None):
        return True
    if isinstance(value, Mapping):
        return _are_finite(value.values())
    if isinstance(value, list | tuple):
        return _are_finite(value)
    if hasattr(value, "score"):
        return is_finite(value.score)
    if isinstance(value, float | np.ndarray | np.generic):
        array = np.asarray(value)
        return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())
    return True


def _are_finite(values: Iterable[Any]) -> bool:
    return all(is_finite(value) for value in values)
