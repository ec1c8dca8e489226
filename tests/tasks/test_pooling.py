"""Pooling at its edges; test_embed.py compares it with sentence-transformers."""

from __future__ import annotations

import numpy as np
import pytest

from inferox.tasks.pooling import POOLING_MODES, pool


@pytest.mark.parametrize("mode", sorted(set(POOLING_MODES) - {"cls"}))
def test_a_prompt_that_leaves_no_token_gives_zeros(mode: str) -> None:
    assert pool(np.ones((3, 2), dtype=np.float32), [mode], skip=3).tolist() == [0, 0]


def test_cls_takes_the_first_token_after_all() -> None:
    assert pool(np.array([[1, 2], [3, 4]], dtype=np.float32), ["cls"], skip=2).tolist() == [1, 2]


def test_half_precision_is_added_up_in_single() -> None:
    tokens = np.full((4000, 1), 1.001, dtype=np.float16)

    pooled = pool(tokens, ["mean"])

    assert pooled.dtype == np.float32
    assert abs(pooled[0] - tokens.astype(np.float64).mean()) < 1e-4
