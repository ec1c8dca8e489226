"""Edge cases of pooling; test_embed.py compares it with sentence-transformers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import to_cu_seqlens
from inferox.tasks.pooling import POOLING_MODES, pool


@pytest.mark.parametrize("mode", sorted(set(POOLING_MODES) - {"cls"}))
def test_a_prompt_that_leaves_no_token_gives_zeros(mode: str) -> None:
    assert pool(np.ones((3, 2), dtype=np.float32), np.array([0, 3]), [mode], skip=3).tolist() == [[0, 0]]


def test_cls_takes_the_first_token_after_all() -> None:
    assert pool(np.array([[1, 2], [3, 4]], dtype=np.float32), np.array([0, 2]), ["cls"], skip=2).tolist() == [[1, 2]]


def test_half_precision_is_added_up_in_single() -> None:
    tokens = np.full((4000, 1), 1.001, dtype=np.float16)

    pooled = pool(tokens, np.array([0, 4000]), ["mean"])[0]

    assert pooled.dtype == np.float32
    assert abs(pooled[0] - tokens.astype(np.float64).mean()) < 1e-4


@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    skip=st.integers(0, 4),
    modes=st.lists(st.sampled_from(sorted(POOLING_MODES)), min_size=1, max_size=3),
)
def test_each_text_is_pooled_as_it_is_alone(lengths: list[int], skip: int, modes: list[str]) -> None:
    tokens = np.random.default_rng(sum(lengths)).standard_normal((sum(lengths), 3)).astype(np.float32)
    ends = to_cu_seqlens(np.array(lengths))

    together = pool(tokens, ends, modes, skip=skip)

    assert together.dtype == np.float32
    assert together.shape == (len(lengths), 3 * len(modes))
    for index, length in enumerate(lengths):
        own = tokens[ends[index] : ends[index + 1]]
        np.testing.assert_allclose(together[index], pool(own, np.array([0, length]), modes, skip=skip)[0], atol=1e-6)
        kept = own[skip:]
        expected = {
            "cls": kept[0] if len(kept) else own[0],
            "max": kept.max(axis=0, initial=-np.inf) if len(kept) else np.zeros(3),
            "mean": kept.mean(axis=0) if len(kept) else np.zeros(3),
            "mean_sqrt_len": kept.sum(axis=0) / max(len(kept), 1) ** 0.5,
            "weighted_mean": np.average(kept, axis=0, weights=np.arange(skip, length) + 1)
            if len(kept)
            else np.zeros(3),
            "last": kept[-1] if len(kept) else np.zeros(3),
        }
        np.testing.assert_allclose(together[index], np.concatenate([expected[mode] for mode in modes]), atol=1e-5)
