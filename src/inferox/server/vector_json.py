"""Vectors as JSON."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import json

_ROWS_AT_ONCE = 64
"""How many vectors are written as numbers before others get their turn."""


def write_base64(vectors: npt.NDArray[np.float32]) -> list[bytes]:
    """Writes vectors as texts: base64 of float32, little-endian.

    Args:
        vectors: Shape ``[n, dimension]``, float32.

    Returns:
        A JSON string for each.
    """
    return [b'"%b"' % b64encode(vector) for vector in np.ascontiguousarray(vectors, dtype="<f4")]


async def write_numbers(vectors: npt.NDArray[Any]) -> list[bytes]:
    """Writes vectors as numbers. Many take a while: others get their turn in between.

    Args:
        vectors: Shape ``[n, dimension]``, of any type.

    Returns:
        A JSON list for each.
    """
    rows: list[bytes] = []
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        if start:
            await asyncio.sleep(0)
        rows += map(json.encode, vectors[start : start + _ROWS_AT_ONCE].tolist())
    return rows
