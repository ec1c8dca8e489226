"""Batches for the tests of layouts and models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import (
    BATCH,
    MASK,
    SEQUENCE,
    Batch,
    DataType,
    Dim,
    Signature,
    TensorSpec,
    to_cu_seqlens,
)

Arrays = dict[str, npt.NDArray[Any]]

PAD_VALUES = {"input_ids": 9, "token_type_ids": 0}


def floats(name: str, *dims: Dim) -> TensorSpec:
    return TensorSpec(name, DataType.F32, dims)


IDS = TensorSpec("input_ids", DataType.I64, (BATCH, SEQUENCE))
TYPES = TensorSpec("token_type_ids", DataType.I32, (BATCH, SEQUENCE))
ATTENDED = TensorSpec(MASK, DataType.I64, (BATCH, SEQUENCE))
TEXT = Signature((IDS, ATTENDED, TYPES), (floats("vectors", BATCH, SEQUENCE, 3), floats("pooled", BATCH, 2)))


def make_batch(lengths: Sequence[int], seed: int = 0, **changes: npt.NDArray[Any]) -> Batch:
    """Makes rows of random tokens; if ``seed`` is 0, row 0 begins with 1, 2, 3 and so on."""
    random, count = np.random.default_rng(seed), sum(lengths)
    ragged: Arrays = {
        "input_ids": random.integers(1, 99, count) if seed else np.arange(1, count + 1),
        "token_type_ids": random.integers(0, 2, count, dtype=np.int32),
        "offsets": np.arange(2 * count).reshape(count, 2),
    }
    dense = {"cut_tokens": np.arange(len(lengths))}
    return Batch({**ragged, **changes}, dense, to_cu_seqlens(np.array(lengths, dtype=np.int64)), PAD_VALUES)
