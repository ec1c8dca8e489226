"""More places and tokens than a packed batch needs, where that saves time or memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import EMPTY_PLACE, PAD_INDICES, UNPAD_INDICES

_VECTOR = 16
"""The float32 of an AVX-512 register. OpenVINO's fused attention (2026.4) computes the scores of a query that are left
when their number is divided by it one by one."""

_MOST = 8
"""The most places that a row gets on top: more of them cost what they save."""


_TOKENS_PER_ADDED = 50
"""Among how many tokens one may be added, which costs up to 2% of the time of linear layers."""


def pad_to_multiple(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Widens the padded batch to whole vectors, where that takes at most 8 places and a third of a row.

    Of 60,000 tokens of all-MiniLM-L6-v2 in texts of mixed lengths, that saves 3 % of the time on one core. Wider rows
    cost too: all queries, keys and values are gathered into the padded batch, so that 8 places on top of 8 cost 5 %.

    Args:
        arrays: The inputs by name, among them ``pad_indices``, ``[batch, seq]``, and ``unpad_indices``, ``[tokens]``,
            both int64.

    Returns:
        The inputs, with pad indices that have empty places at the end of each row, and the unpad indices for them.
    """
    rows, longest = arrays[PAD_INDICES].shape
    added = -longest % _VECTOR
    if not 0 < added <= min(_MOST, longest // 3):
        return dict(arrays)
    pad_indices = np.full((rows, longest + added), EMPTY_PLACE, dtype=np.int64)
    pad_indices[:, :longest] = arrays[PAD_INDICES]
    row, place = np.divmod(arrays[UNPAD_INDICES], longest)
    return {**arrays, PAD_INDICES: pad_indices, UNPAD_INDICES: row * (longest + added) + place}


def round_tokens(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Adds tokens that no row has behind those of the batch, so that batches have few different sizes.

    OpenVINO prepares itself for each size, and keeps that for a number of them.

    Args:
        arrays: The inputs by name, each ``[tokens]`` but for ``pad_indices``.

    Returns:
        The inputs with up to 2% more tokens, to a multiple of a power of two. Those that are added are 0, stand at the
        first place of the padded batch, and are in none of its rows.
    """
    tokens = len(arrays[UNPAD_INDICES])
    step = 1 << (tokens // _TOKENS_PER_ADDED).bit_length() >> 1
    added = -tokens % step if step else 0
    if not added:
        return dict(arrays)
    more = {name: np.zeros(added, array.dtype) for name, array in arrays.items() if name != PAD_INDICES}
    return {name: np.concatenate([array, more[name]]) if name in more else array for name, array in arrays.items()}
