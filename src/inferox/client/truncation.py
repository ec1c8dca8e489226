"""What a server says of texts that it has cut."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inferox.client.answers import InferAnswer
from inferox.core import ResponseError, TruncationWarning


def find_truncated(answers: Sequence[InferAnswer], output: str) -> npt.NDArray[np.bool_]:
    """Says for each row of a call whether its text was cut; shape ``[rows]``, bool.

    Args:
        answers: The answers, in the order of the rows.
        output: The name of an output, which has an entry for each row.

    Raises:
        ResponseError: If a server says how many texts it has cut, but not which.
    """
    truncated = [np.zeros(len(answer.outputs[output]), np.bool_) for answer in answers]
    for answer, flags in zip(answers, truncated, strict=True):
        items = answer.cut_items
        if len(items) != answer.cut_inputs or any(not 0 <= item < len(flags) for item in items):
            raise ResponseError(
                f"the server has cut {answer.cut_inputs} of {len(flags)} texts, but does not say which",
                hint="ask with truncate='error', or run the server with this version of Inferox",
            )
        flags[list(items)] = True
    return np.concatenate(truncated) if truncated else np.zeros(0, np.bool_)


def warn_of_cuts(answers: Sequence[InferAnswer], total: int, *, stacklevel: int) -> None:
    """Warns of texts that were cut, once for all answers of a call.

    Args:
        answers: The answers.
        total: The number of texts.
        stacklevel: Which caller the warning is about; 1 is this function.
    """
    cut = sum(answer.cut_inputs for answer in answers)
    if cut:
        texts, were = "text" if total == 1 else "texts", "was" if cut == 1 else "were"
        message = f"{cut} of {total} {texts} {were} longer than the model takes, and cut"
        warnings.warn(TruncationWarning(message, cut=cut, total=total), stacklevel=stacklevel)
