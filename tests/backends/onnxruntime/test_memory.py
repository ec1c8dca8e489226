"""A session keeps nothing for the shapes that it has met."""

from __future__ import annotations

import ctypes
import gc
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import inferox
from inferox.core import Batch, Layout, to_cu_seqlens

LONGEST = 40
COUNTERS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class _AllocatorCounters(ctypes.Structure):
    """glibc's ``struct mallinfo2``."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in COUNTERS)


def count_allocated_bytes() -> int:
    """Counts the bytes that the process has allocated and not freed, whether or not they are resident."""
    read = getattr(ctypes.CDLL(None), "mallinfo2", None) if sys.platform == "linux" else None
    if read is None:
        pytest.skip("only glibc 2.33 and later count what is allocated")
    read.restype = _AllocatorCounters
    gc.collect()
    found = read()
    return int(found.uordblks + found.hblkhd)


def make_batch(lengths: list[int]) -> Batch:
    tokens = np.ones(sum(lengths), dtype=np.int64)
    return Batch({"input_ids": tokens, "token_type_ids": tokens * 0}, {}, to_cu_seqlens(np.array(lengths)))


def test_new_shapes_leave_nothing_allocated(bert_package: Path) -> None:
    shapes = list(product(range(1, 9), range(1, LONGEST)))
    with inferox.load(bert_package, backend="onnxruntime", threads=1) as loaded:
        model = loaded.model
        assert model.metadata.layout is Layout.PACKED

        def compute(parity: int) -> None:
            for full_rows, length in shapes:
                if (full_rows + length) % 2 == parity:
                    model.compute(make_batch([LONGEST] * full_rows + [length]))

        # After a batch larger than all others, and as many other shapes, one-time allocations are done.
        model.compute(make_batch([LONGEST] * 10))
        compute(0)
        before = count_allocated_bytes()
        # ONNX Runtime finds a memory plan by the exclusive or of all extents: no shape here has one from before.
        compute(1)
        # A plan takes 3 to 4 KB here.
        assert count_allocated_bytes() - before < 1500 * len(shapes) / 2
