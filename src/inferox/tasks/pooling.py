"""From the vectors of a text's tokens to the vector of the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]


def pool(tokens: npt.NDArray[Any], modes: Sequence[str], *, skip: int = 0) -> Vector:
    """Makes one vector of a text's token vectors.

    Args:
        tokens: The vectors of one text's tokens, without padding; shape ``[seq, hidden]``.
        modes: Names from ``POOLING_MODES``; the vectors of several are joined end to end.
        skip: How many tokens at the front, a prompt's, are left out.

    Returns:
        The vector; shape ``[len(modes) * hidden]``, float32. Where ``skip`` leaves no token, ``cls`` takes the first
        token after all, and the other modes give zeros.
    """
    vectors = tokens.astype(np.float32, copy=False)
    kept = vectors[skip:]
    if not len(kept):
        nothing = np.zeros(vectors.shape[1:], dtype=np.float32)
        return np.concatenate([vectors[0] if mode == "cls" else nothing for mode in modes])
    return np.concatenate([POOLING_MODES[mode](kept, skip) for mode in modes])


def _weighted_mean(kept: Vector, skip: int) -> Vector:
    """Later tokens count for more; a token that follows a prompt keeps the weight of its place in the whole row."""
    weights = np.arange(skip + 1, skip + len(kept) + 1, dtype=np.float32)
    mean: Vector = weights @ kept / weights.sum()
    return mean


POOLING_MODES: dict[str, Callable[[Vector, int], Vector]] = {
    "cls": lambda kept, _: kept[0],
    "max": lambda kept, _: kept.max(axis=0),
    "mean": lambda kept, _: kept.mean(axis=0),
    "mean_sqrt_len": lambda kept, _: kept.sum(axis=0) / np.sqrt(np.float32(len(kept))),
    "weighted_mean": _weighted_mean,
    "last": lambda kept, _: kept[-1],
}
"""The ways to pool, by name."""
