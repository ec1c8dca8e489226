"""The texts that a server reports as cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inferox.client.answers import InferAnswer
from inferox.core import ResponseError, TruncationWarning, counted, warn_user


def find_truncated(answers: Sequence[InferAnswer], output: str) -> list[bool | None]:
    """Returns for each row of a call whether its text was cut; ``None`` if the server reports only how many were.

    Args:
        answers: The answers, in the order of the rows.
        output: The name of an output with an entry for each row.

    Raises:
        ResponseError: If the reported indices contradict the reported number, or are out of range.
    """
    return [flag for answer in answers for flag in _read_flags(answer, len(answer.outputs[output]))]


def require_truncated(answers: Sequence[InferAnswer], output: str) -> npt.NDArray[np.bool_]:
    """Returns for each row of a call whether its text was cut; shape ``[rows]``, bool.

    Args:
        answers: The answers, in the order of the rows.
        output: The name of an output with an entry for each row.

    Raises:
        ResponseError: If a server reports how many texts it cut, but not which.
    """
    flags = find_truncated(answers, output)
    if None in flags:
        cut = sum(answer.cut_inputs for answer in answers)
        raise ResponseError(
            f"the server has cut {cut} of {counted(len(flags), 'text')}, but does not say which",
            hint="leave out return_truncated, or run the server with this version of Inferox",
        )
    return np.array(flags, np.bool_)


def _read_flags(answer: InferAnswer, rows: int) -> list[bool | None]:
    items, cut = answer.cut_items, answer.cut_inputs
    if items and (len(items) != cut or any(not 0 <= item < rows for item in items)):
        raise ResponseError(
            f"the server has cut {cut} of {counted(rows, 'text')}, but names {', '.join(map(str, items[:10]))}",
            hint="a proxy in between must not change answers; without one, it is an error of the server",
        )
    if not items and 0 < cut < rows:
        return [None] * rows
    named = set(items)
    return [row in named if named else cut > 0 for row in range(rows)]


def warn_of_cuts(answers: Sequence[InferAnswer], total: int) -> None:
    """Warns of cut texts, once for all answers of a call.

    Args:
        answers: The answers.
        total: The number of texts.
    """
    cut = sum(answer.cut_inputs for answer in answers)
    if cut:
        were = "was" if cut == 1 else "were"
        message = f"{cut:,} of {counted(total, 'text')} {were} longer than the model takes, and cut"
        warn_user(TruncationWarning(message, cut=cut, total=total))
