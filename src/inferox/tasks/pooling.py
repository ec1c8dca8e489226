"""From the vectors of texts' tokens to the vectors of the texts."""

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
    """Makes one vector of each text's token vectors.

    Args:
        tokens: The vectors of the tokens of all texts end to end; shape ``[tokens, hidden]``.
        cu_seqlens: Where each text begins, and where the last one ends; shape ``[texts + 1]``. Each has a token.
        modes: Names from ``POOLING_MODES``; the vectors of several are joined end to end.
        skip: How many tokens at the front of each text, a prompt's, are left out.

    Returns:
        The vectors; shape ``[texts, len(modes) * hidden]``, float32. Where ``skip`` leaves a text no token, ``cls``
        takes its first token after all, and the other modes give zeros.
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
        """The first token of each text that is pooled; its very first where none is."""
        firsts: npt.NDArray[np.int64] = np.where(self.lengths > 0, self.starts + self.skip, self.starts)
        return firsts

    def counts(self) -> Vectors:
        """The number of tokens that are pooled, or 1 where there is none; shape ``[texts, 1]``, float32."""
        counts: Vectors = np.maximum(self.lengths, 1).astype(np.float32)[:, None]
        return counts

    def reduce(self, ufunc: np.ufunc, values: Vectors) -> Vectors:
        """Reduces the entries of each text's tokens that are pooled; zeros where there is none."""
        reduced = np.zeros((len(self.starts), *values.shape[1:]), dtype=np.float32)
        # ufunc.reduceat computes all rows in one call, and takes 2 to 10 times as long.
        for row, (start, end) in enumerate(zip((self.starts + self.skip).tolist(), self.ends.tolist(), strict=True)):
            if start < end:
                ufunc.reduce(values[start:end], axis=0, out=reduced[row])
        return reduced

    def zero_where_empty(self, vectors: Vectors) -> Vectors:
        """The vectors, with zeros for each text of which no token is pooled."""
        return np.where((self.lengths > 0)[:, None], vectors, np.float32(0))


def _mean(rows: _Rows) -> Vectors:
    mean: Vectors = rows.reduce(np.add, rows.tokens) / rows.counts()
    return mean


def _mean_sqrt_len(rows: _Rows) -> Vectors:
    return (rows.reduce(np.add, rows.tokens) / np.sqrt(rows.counts())).astype(np.float32)


def _weighted_mean(rows: _Rows) -> Vectors:
    """Later tokens count for more; a token that follows a prompt keeps the weight of its place in the whole text."""
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
"""The ways to pool, by name."""
