"""The forms of vectors, against sentence-transformers if it has them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sentence_transformers.util import quantize_embeddings

from inferox.core import ConfigError, RequestError
from inferox.tasks import VectorForm

VECTORS = np.random.default_rng(0).normal(size=(5, 20)).astype(np.float32)


def test_by_default_vectors_stay_as_they_are() -> None:
    assert VectorForm().apply(VECTORS) is VECTORS


def test_vectors_are_shortened_before_they_are_scaled() -> None:
    short = VECTORS[:, :7]

    formed = VectorForm(truncate_dim=7, normalize=True).apply(VECTORS)

    np.testing.assert_allclose(formed, short / np.linalg.norm(short, axis=1, keepdims=True), rtol=1e-6)
    assert formed.dtype == np.float32


@pytest.mark.parametrize("dtype", ["binary", "ubinary"])
def test_bits_are_those_of_sentence_transformers(dtype: Literal["binary", "ubinary"]) -> None:
    formed = VectorForm(dtype=dtype).apply(VECTORS[:, :16])

    expected = np.asarray(quantize_embeddings(VECTORS[:, :16], precision=dtype))
    np.testing.assert_array_equal(formed, expected)
    assert formed.dtype == expected.dtype


def test_half_precision_is_rounded() -> None:
    np.testing.assert_array_equal(VectorForm(dtype="float16").apply(VECTORS), VECTORS.astype(np.float16))


finite = st.floats(-1e6, 1e6, width=32)


@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2), elements=finite))
def test_int8_keeps_directions_with_any_other_option(vectors: Any) -> None:
    formed = VectorForm(dtype="int8").apply(vectors)

    assert formed.dtype == np.int8
    for row, vector in zip(formed, vectors, strict=True):
        largest = max(float(np.abs(vector).max()), 1e-12)
        np.testing.assert_allclose(row * (largest / 127), vector, atol=0.51 * largest / 127)
        np.testing.assert_array_equal(row, VectorForm(dtype="int8").apply(vector[None])[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int4"}, "dtype must be one of float32, float16, int8, binary, ubinary, but is 'int4'"),
        ({"truncate_dim": 0}, "truncate_dim must be a positive integer, but is 0"),
        ({"truncate_dim": True}, "truncate_dim must be a positive integer, but is True"),
        ({"truncate_dim": 1.5}, "but is 1.5"),
    ],
)
def test_unknown_forms_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        VectorForm(**options)


def test_more_numbers_than_there_are_cannot_be_kept() -> None:
    with pytest.raises(RequestError, match="truncate_dim is 21, but the vectors have 20 numbers"):
        VectorForm(truncate_dim=21).apply(VECTORS)
