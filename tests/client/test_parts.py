"""The client's arithmetic and its codec, against all values and against the server's own codec."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from inferox.client.division import divide
from inferox.client.retrying import choose_wait_s, read_retry_after
from inferox.client.tensors import read_answer, write_request
from inferox.core import ResponseError, dtype_of
from inferox.server.oip.binary_data import read_binary, write_binary
from inferox.server.oip.datatype import Datatype

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

NUMBERS = ["?", *(f"<{kind}{size}" for kind in "ui" for size in (1, 2, 4, 8)), "<f2", "<f4", "<f8"]
ARRAYS = st.sampled_from(NUMBERS).flatmap(
    lambda dtype: st_numpy.arrays(np.dtype(dtype), st_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0))
)
ELEMENTS = st.lists(st.binary(max_size=6), max_size=5)


@given(ARRAYS)
def test_numbers_are_written_as_the_server_reads_them(array: np.ndarray[Any, Any]) -> None:
    body, size = write_request({"x": array}, [], {})
    (told,) = json.loads(body[:size])["inputs"]
    assert told["parameters"]["binary_data_size"] == len(body) - size
    read = read_binary(Datatype(told["datatype"]), told["shape"], memoryview(body)[size:], "x")
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype


@given(st_numpy.arrays(np.uint16, st_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0)))
def test_bf16_is_written_and_read_as_the_server_does(bits: np.ndarray[Any, Any]) -> None:
    array = bits.view(ml_dtypes.bfloat16)
    expected = array.astype(np.float32)
    body, size = write_request({"x": array}, [], {})
    (told,) = json.loads(body[:size])["inputs"]
    assert told["datatype"] == "BF16"
    read = read_binary(Datatype.BF16, told["shape"], memoryview(body)[size:], "x")
    np.testing.assert_array_equal(read, expected)
    found, _ = read_answer(*write_answer({"x": (Datatype.BF16, expected)}))
    np.testing.assert_array_equal(found["x"], expected)
    assert found["x"].dtype == np.float32
    assert not found["x"].flags.writeable


@given(ELEMENTS)
def test_texts_are_written_as_the_server_reads_them(elements: list[bytes]) -> None:
    given_text = [element.hex() + "\0" for element in elements]
    for some, expected in ((elements, elements), (given_text, [text.encode() for text in given_text])):
        if not some:
            continue
        body, size = write_request({"x": some}, [], {})
        (told,) = json.loads(body[:size])["inputs"]
        read = read_binary(Datatype.BYTES, told["shape"], memoryview(body)[size:], "x")
        assert (told["datatype"], read.tolist()) == ("BYTES", expected)


def write_answer(tensors: Mapping[str, tuple[Datatype, np.ndarray[Any, Any]]]) -> tuple[bytes, str]:
    """An answer of named tensors, as the server writes it."""
    outputs, binary = [], []
    for name, (datatype, array) in tensors.items():
        binary.append(write_binary(datatype, array))
        size = {"binary_data_size": len(binary[-1])}
        outputs.append({"name": name, "datatype": datatype.value, "shape": list(array.shape), "parameters": size})
    head = json.dumps({"model_name": "m", "outputs": outputs}).encode()
    return b"".join([head, *binary]), str(len(head))


@given(st.lists(ARRAYS, max_size=3), ELEMENTS)
def test_answers_are_read_as_the_server_writes_them(arrays: list[np.ndarray[Any, Any]], elements: list[bytes]) -> None:
    texts = np.empty(len(elements), np.object_)
    texts[:] = elements
    tensors = {str(index): (Datatype.of(dtype_of(array)), array) for index, array in enumerate(arrays)} | {
        "texts": (Datatype.BYTES, texts)
    }
    found, head = read_answer(*write_answer(tensors))
    assert head["model_name"] == "m"
    assert list(found) == list(tensors)
    for name, (_, expected) in tensors.items():
        np.testing.assert_array_equal(found[name], expected)


@given(st.binary(max_size=40), st.integers(0, 60), st.integers(-5, 300))
def test_a_damaged_answer_is_an_error_of_inferox(noise: bytes, place: int, size: int) -> None:
    texts = np.array([b"ab", b"c"], np.object_)
    body, _ = write_answer({"a": (Datatype.FP32, np.zeros((2, 3), np.float32)), "b": (Datatype.BYTES, texts)})
    with contextlib.suppress(ResponseError):
        read_answer(body[:place] + noise + body[place + len(noise) :], str(size))


@given(st.lists(st.binary(max_size=9)), st.integers(1, 5), st.integers(1, 20))
def test_parts_are_within_the_limits_and_lose_nothing(texts: list[bytes], most_rows: int, most_bytes: int) -> None:
    rows = [(text,) for text in texts]
    parts = list(divide(iter(rows), most_rows=most_rows, most_bytes=most_bytes))
    assert [row for part in parts for row in part] == rows
    for part in parts:
        assert 1 <= len(part) <= most_rows
        assert len(part) == 1 or sum(len(text) for (text,) in part) <= most_bytes
    for part, after in itertools.pairwise(parts):  # none could be longer
        assert len(part) == most_rows or sum(len(text) for (text,) in [*part, after[0]]) > most_bytes


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_waits_grow_to_a_limit_and_are_spread(tries: int, draw: float) -> None:
    wait_s = choose_wait_s(tries, None, draw)
    assert 0.05 <= wait_s <= 5.0
    assert wait_s <= choose_wait_s(tries + 1, None, draw)
    assert choose_wait_s(tries, None, 0.0) < choose_wait_s(tries, None, 1.0)


@given(st.integers(1, 100), st.floats(0, 1000), st.floats(0, 1))
def test_a_wait_is_never_shorter_than_the_server_asks(tries: int, asked_s: float, draw: float) -> None:
    assert asked_s <= choose_wait_s(tries, asked_s, draw) <= asked_s * 1.25


@pytest.mark.parametrize(
    ("headers", "expected_s"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "3", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=30), usegmt=True)}, 30.0),
        ({"retry-after": format_datetime(NOW - timedelta(seconds=30), usegmt=True)}, 0.0),
        ({"retry-after": "Fri, 02 Jan 2026 03:04:35"}, None),  # without a time zone it is ambiguous
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan", "retry-after-ms": "inf"}, None),
        ({"retry-after-ms": "x", "retry-after": "2"}, 2.0),
    ],
)
def test_what_a_server_asks_to_wait(headers: dict[str, str], expected_s: float | None) -> None:
    assert read_retry_after(headers, NOW) == expected_s
