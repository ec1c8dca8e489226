"""Edge cases of the layers after pooling; test_embed.py compares them with sentence-transformers."""

from __future__ import annotations

import numpy as np
import pytest

from inferox.tasks.embed_modules import LayerNorm, Normalise


@pytest.mark.filterwarnings("error")
def test_a_vector_of_length_zero_stays_what_it_is() -> None:
    vectors = np.array([[0.0, 0.0], [3.0, 4.0]], dtype=np.float32)

    np.testing.assert_allclose(Normalise()(vectors), np.array([[0.0, 0.0], [0.6, 0.8]]), atol=1e-7)


@pytest.mark.filterwarnings("error")
def test_a_vector_without_variance_becomes_the_bias() -> None:
    layer = LayerNorm(np.ones(2, dtype=np.float32), np.array([5, 6], dtype=np.float32))

    np.testing.assert_array_equal(layer(np.full((1, 2), 3, dtype=np.float32)), [[5, 6]])
