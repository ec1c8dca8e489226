"""Vectors in the forms of the protocols."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from inferox.server.vectors import are_scaled, scale, to_bits

NUMBERS = st.floats(-1000, 1000, width=32)
SOME = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=NUMBERS)
WHOLE_BYTES = st.tuples(st.integers(1, 4), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float32, (shape[0], 8 * shape[1]), elements=NUMBERS | st.just(0.0) | st.just(-0.0))
)


@given(SOME)
def test_scaled_vectors_keep_their_direction(vectors: npt.NDArray[Any]) -> None:
    scaled = scale(vectors)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    long = lengths[:, 0] > 1e-6
    assert are_scaled(scaled[long]).all()
    np.testing.assert_allclose(scaled[long] * lengths[long], vectors[long], rtol=1e-4, atol=1e-4)
    assert np.isfinite(scaled).all()


def test_vectors_that_are_not_scaled_are_reported() -> None:
    assert are_scaled(np.array([[0.6, 0.8], [1.0, 1.0]], dtype=np.float32)).tolist() == [True, False]


@given(WHOLE_BYTES)
def test_bits_are_those_of_numbers_of_0_or_more(vectors: npt.NDArray[Any]) -> None:
    bits = to_bits(vectors, signed=False)
    assert [
        [int(byte >> (7 - place)) & 1 for byte in row for place in range(8)] for row in bits.astype(int).tolist()
    ] == [[int(number >= 0) for number in row] for row in vectors.tolist()]
    signed = to_bits(vectors, signed=True)
    assert signed.dtype == np.int8
    assert np.array_equal(signed.astype(int) + 128, bits)
