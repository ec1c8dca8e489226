"""Pooling of token vectors into text vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


def pool(
    tokens: npt.NDArray[Any], cu_seqlens: npt.NDArray[np.int64], modes: Sequence[str], *, skip: int = 0
) -> Vectors:
    """Pools each text's token vectors into one vector.

    Args:
        tokens: The vectors of the tokens of all texts end to end; shape ``[tokens, hidden]``.
        cu_seqlens: The start of each text, and the end of the last one; shape ``[texts + 1]``. Each text has a token.
        modes: Names from ``POOLING_MODES``; the vectors of several are concatenated.
        skip: The number of tokens at the front of each text, a prompt's, that are left out.

    Returns:
        The vectors; shape ``[texts, len(modes) * hidden]``, float32. If ``skip`` leaves a text no token, ``cls`` takes
        its first token after all, and the other modes give zeros.
    """
    rows = _Rows(tokens.astype(np.float32, copy=False), cu_seqlens[:-1], cu_seqlens[1:], skip)
    pooled = [POOLING_MODES[mode](rows) for mode in modes]
    return pooled[0] if len(pooled) == 1 else np.concatenate(pooled, axis=1)


@dataclass(frozen=True, eq=False)
class _Rows:
    tokens: Vectors
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    skip: int

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of tokens of each text that are pooled; shape ``[texts]``."""
        lengths: npt.NDArray[np.int64] = np.maximum(self.ends - self.starts - self.skip, 0)
        return lengths

    @property
    def firsts(self) -> npt.NDArray[np.int64]:
        """The index of each text's first pooled token, or of its very first if none is pooled."""
        firsts: npt.NDArray[np.int64] = np.where(self.lengths > 0, self.starts + self.skip, self.starts)
        return firsts

    def counts(self) -> Vectors:
        """The number of pooled tokens, or 1 if there are none; shape ``[texts, 1]``, float32."""
        counts: Vectors = np.maximum(self.lengths, 1).astype(np.float32)[:, None]
        return counts

    def reduce(self, ufunc: np.ufunc, values: Vectors) -> Vectors:
        """Reduces the values of each text's pooled tokens; zeros if there are none."""
        reduced = np.zeros((len(self.starts), *values.shape[1:]), dtype=np.float32)
        # ufunc.reduceat would compute all rows in one call, but takes 2 to 10 times as long.
        for row, (start, end) in enumerate(zip((self.starts + self.skip).tolist(), self.ends.tolist(), strict=True)):
            if start < end:
                ufunc.reduce(values[start:end], axis=0, out=reduced[row])
        return reduced

    def zero_where_empty(self, vectors: Vectors) -> Vectors:
        """Returns the vectors, with zeros for each text without pooled tokens."""
        return np.where((self.lengths > 0)[:, None], vectors, np.float32(0))


def _mean(rows: _Rows) -> Vectors:
    mean: Vectors = rows.reduce(np.add, rows.tokens) / rows.counts()
    return mean


def _mean_sqrt_len(rows: _Rows) -> Vectors:
    return (rows.reduce(np.add, rows.tokens) / np.sqrt(rows.counts())).astype(np.float32)


def _weighted_mean(rows: _Rows) -> Vectors:
    """Computes a mean in which later tokens weigh more; tokens after a prompt keep the weight of their place."""
    lengths = rows.ends - rows.starts
    weights = (np.arange(len(rows.tokens)) - np.repeat(rows.starts, lengths) + 1).astype(np.float32)[:, None]
    total = rows.reduce(np.add, weights)
    return (rows.reduce(np.add, rows.tokens * weights) / np.maximum(total, 1)).astype(np.float32)


POOLING_MODES: dict[str, Callable[[_Rows], Vectors]] = {
    "cls": lambda rows: rows.tokens[rows.firsts],
    "max": lambda rows: rows.reduce(np.maximum, rows.tokens),
    "mean": _mean,
    "mean_sqrt_len": _mean_sqrt_len,
    "weighted_mean": _weighted_mean,
    "last": lambda rows: rows.zero_where_empty(rows.tokens[rows.ends - 1]),
}
"""The pooling modes, by name."""
