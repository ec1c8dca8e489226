"""Vectors as JSON."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import json

_ROWS_AT_ONCE = 64
"""The number of vectors written as numbers before the event loop may run other tasks."""


def write_base64(vectors: npt.NDArray[np.float32]) -> list[bytes]:
    """Writes vectors as strings: base64 of little-endian float32.

    Args:
        vectors: Shape ``[n, dimension]``, float32.

    Returns:
        A JSON string for each vector.
    """
    return [b'"%b"' % b64encode(vector) for vector in np.ascontiguousarray(vectors, dtype="<f4")]


async def write_numbers(vectors: npt.NDArray[Any]) -> list[bytes]:
    """Writes vectors as numbers. With many of them, the event loop runs other tasks in between.

    Args:
        vectors: Shape ``[n, dimension]``, of any dtype.

    Returns:
        A JSON list for each vector.
    """
    rows: list[bytes] = []
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        if start:
            await asyncio.sleep(0)
        rows += map(json.encode, vectors[start : start + _ROWS_AT_ONCE].tolist())
    return rows
