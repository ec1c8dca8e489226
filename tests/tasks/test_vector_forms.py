"""The forms of vectors, against sentence-transformers if it has them."""

from __future__ import annotations

import re
from typing import Any, Literal

import numpy as np
import pytest
import torch
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


DTYPES: list[tuple[Any, str]] = [
    (np.float32, "float32"),
    (np.float16, "float16"),
    (np.int8, "int8"),
    (np.dtype("float32"), "float32"),
    (np.dtype("float16"), "float16"),
    (np.dtype("int8"), "int8"),
    (torch.float32, "float32"),
    (torch.float16, "float16"),
    (torch.int8, "int8"),
    (np.str_("ubinary"), "ubinary"),
]


@pytest.mark.parametrize(("dtype", "name"), DTYPES)
def test_data_types_of_numpy_and_pytorch_mean_their_names(dtype: Any, name: str) -> None:
    form = VectorForm(dtype=dtype)
    assert (form, form.dtype) == (VectorForm(dtype=name), name)
    np.testing.assert_array_equal(form.apply(VECTORS), VectorForm(dtype=name).apply(VECTORS))


@pytest.mark.parametrize(
    "dtype",
    [
        *(np.float64, np.dtype("float64"), np.uint8, np.bool_, np.dtype(">f4"), np.dtype("U7"), np.dtype(object)),
        *(torch.bfloat16, torch.float64, torch.uint8, float, int, np.generic, np.floating, None, 5, b"float32"),
        *("f4", "<f4", "torch.float32", "FLOAT32", ["float32"], np.array(["float32", "int8"]), np.float32(1)),
    ],
    ids=repr,
)
def test_other_data_types_are_refused_by_name(dtype: Any) -> None:
    message = "dtype must be one of float32, float16, int8, binary, ubinary, but is " + re.escape(repr(dtype))
    with pytest.raises(ConfigError, match=message):
        VectorForm(dtype=dtype)


def test_more_numbers_than_there_are_cannot_be_kept() -> None:
    with pytest.raises(RequestError, match="truncate_dim is 21, but the vectors have 20 numbers"):
        VectorForm(truncate_dim=21).apply(VECTORS)
