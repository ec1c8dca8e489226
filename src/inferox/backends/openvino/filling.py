"""More places than a packed batch needs, because attention is quicker for them."""

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
