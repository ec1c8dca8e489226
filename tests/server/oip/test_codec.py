"""Tensors to bytes and JSON, and back: valid ones are unchanged, and invalid ones are refused."""

from __future__ import annotations

import asyncio
import struct
from math import prod
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, from_dtype

from inferox.core import ExecutionError
from inferox.server.field_error import FieldError
from inferox.server.oip.binary_data import read_binary, write_binary
from inferox.server.oip.datatype import Datatype
from inferox.server.oip.json_data import read_json, write_json
from inferox.server.oip.wire_tensor import WireTensor

SHAPES = array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
NUMERIC = [datatype for datatype in Datatype if datatype not in {Datatype.BYTES, Datatype.BF16}]
IN_JSON = [datatype for datatype in NUMERIC if datatype is not Datatype.FP16]


def to_objects(shape: tuple[int, ...], elements: list[bytes]) -> np.ndarray[Any, Any]:
    array = np.empty(len(elements), np.object_)
    array[:] = elements
    return array.reshape(shape)


@st.composite
def bytes_tensors(draw: st.DrawFn, elements: st.SearchStrategy[bytes]) -> np.ndarray[Any, Any]:
    shape = draw(SHAPES)
    return to_objects(shape, draw(st.lists(elements, min_size=prod(shape), max_size=prod(shape))))


def read(datatype: Datatype, shape: Any, data: bytes) -> np.ndarray[Any, Any]:
    return read_binary(datatype, shape, memoryview(data), "input 'x'")


def written(datatype: Datatype, array: np.ndarray[Any, Any]) -> bytes:
    return asyncio.run(write_json(WireTensor("x", datatype, array)))


@given(st.data(), st.sampled_from(NUMERIC), SHAPES)
def test_numbers_come_back_from_binary_bit_by_bit(data: st.DataObject, datatype: Datatype, shape: Any) -> None:
    array = data.draw(arrays(datatype.numpy_dtype, shape))
    wire = write_binary(datatype, array)
    assert wire == array.astype(array.dtype.newbyteorder("<")).tobytes()
    back = read(datatype, shape, wire)
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


@given(bytes_tensors(st.binary(max_size=20)))
def test_bytes_come_back_from_binary(array: np.ndarray[Any, Any]) -> None:
    wire = write_binary(Datatype.BYTES, array)
    back = read(Datatype.BYTES, array.shape, wire)
    assert back.shape == array.shape
    assert back.tolist() == array.tolist()


def test_every_bf16_comes_back() -> None:
    bits = np.arange(2**16, dtype=np.uint16)
    found = read(Datatype.BF16, [2**16], bits.tobytes())
    expected = bits.view(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(found, expected)
    again = np.frombuffer(write_binary(Datatype.BF16, found), np.uint16)
    is_number = ~np.isnan(found)
    np.testing.assert_array_equal(again[is_number], bits[is_number])
    assert np.isnan(again[~is_number].view(ml_dtypes.bfloat16).astype(np.float32)).all()


@given(arrays(np.float32, SHAPES))
def test_bf16_is_rounded_to_the_nearest(array: np.ndarray[Any, Any]) -> None:
    found = np.frombuffer(write_binary(Datatype.BF16, array), ml_dtypes.bfloat16).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        np.testing.assert_array_equal(found.reshape(array.shape), array.astype(ml_dtypes.bfloat16).astype(np.float32))


@given(st.binary(max_size=60), st.sampled_from(list(Datatype)), st.lists(st.integers(-1, 9), max_size=3))
def test_any_bytes_are_a_tensor_or_refused(data: bytes, datatype: Datatype, shape: list[int]) -> None:
    try:
        array = read(datatype, shape, data)
    except FieldError as error:
        told = str(error)
    else:
        told = "input 'x'"
        assert (array.shape, array.dtype) == (tuple(shape), datatype.numpy_dtype)
        if datatype is not Datatype.BF16 or not np.isnan(array).any():
            assert write_binary(datatype, array) == data  # nothing is left out, and nothing made up
    assert "input 'x'" in told


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "what"),
    [
        (Datatype.FP32, [2, 2], bytes(15), "which takes 16 bytes, but there are 15"),
        (Datatype.FP32, [2, 2], bytes(17), "which takes 16 bytes, but there are 17"),
        (Datatype.INT8, [-1], b"", "extents of 0 or more"),
        (Datatype.INT8, [0, 2**62], b"", "at most 1,099,511,627,776 elements"),
        (Datatype.INT8, [1] * 65, b"a", "64 axes, but has 65"),
        (Datatype.BOOL, [2], b"\x01\x02", "a byte of 2"),
        (Datatype.BYTES, [2**30], bytes(8), "there are 8 bytes in all"),
        (Datatype.BYTES, [1], struct.pack("<I", 5) + b"abcd", "element 0 of input 'x' is said to have 5 bytes, but 4"),
        (Datatype.BYTES, [2], struct.pack("<I", 3) + b"abc" + b"\0", "ends before the length of its element 1"),
        (Datatype.BYTES, [1], struct.pack("<I", 1) + b"abc", "has 2 bytes after its 1 element"),
        (Datatype.BYTES, [1], struct.pack("<I", 2**32 - 1), "4,294,967,295 bytes"),
    ],
)
def test_what_is_wrong_in_binary_is_named(datatype: Datatype, shape: list[int], data: bytes, what: str) -> None:
    with pytest.raises(FieldError, match=what):
        read(datatype, shape, data)


def test_numbers_after_text_of_any_length_can_be_computed_with() -> None:
    body = b"abc" + np.arange(3, dtype="<f4").tobytes()
    array = read_binary(Datatype.FP32, [3], memoryview(body)[3:], "input 'x'")
    assert array.flags.aligned
    assert array.tolist() == [0, 1, 2]


@given(st.data(), st.sampled_from(IN_JSON), SHAPES)
def test_numbers_come_back_from_json(data: st.DataObject, datatype: Datatype, shape: Any) -> None:
    dtype = datatype.numpy_dtype
    elements = from_dtype(dtype, allow_nan=False, allow_infinity=False)
    array = data.draw(arrays(dtype, shape, elements=elements))
    back = read_json(datatype, shape, written(datatype, array), "input 'x'")
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


@given(bytes_tensors(st.text(max_size=9).map(str.encode)))
def test_texts_come_back_from_json(array: np.ndarray[Any, Any]) -> None:
    back = read_json(Datatype.BYTES, array.shape, written(Datatype.BYTES, array), "input 'x'")
    assert back.tolist() == array.tolist()


@pytest.mark.parametrize("data", [b"[1,2,3,4,5,6]", b" [ [1, 2, 3], [4, 5, 6] ]"])
def test_lists_may_be_flat_or_nested(data: bytes) -> None:
    assert read_json(Datatype.INT16, [2, 3], data, "input 'x'").tolist() == [[1, 2, 3], [4, 5, 6]]


def test_nested_texts() -> None:
    found = read_json(Datatype.BYTES, [2, 1, 1], b'[[["a"]],[["\\u00e4"]]]', "input 'x'")
    assert found.tolist() == [[[b"a"]], [["ä".encode()]]]


def test_many_numbers_are_written_in_parts() -> None:
    array = np.arange(150_001, dtype=np.int32)
    assert np.array_equal(read_json(Datatype.INT32, array.shape, written(Datatype.INT32, array), "x"), array)


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "what"),
    [
        (Datatype.INT8, [1], b"[128]", "out of its range"),
        (Datatype.UINT8, [1], b"[-1]", "out of its range"),
        (Datatype.UINT64, [1], b"[18446744073709551616]", "out of its range"),
        (Datatype.INT32, [1], b"[1.5]", "Expected `int`, got `float`"),
        (Datatype.INT32, [1], b"[true]", "Expected `int`, got `bool`"),
        (Datatype.BOOL, [1], b"[1]", "Expected `bool`, got `int`"),
        (Datatype.FP32, [1], b'["1"]', "Expected `float`, got `str`"),
        (Datatype.FP32, [1], b"[1e39]", "out of its range"),
        (Datatype.FP64, [1], b"[1e400]", "out of range"),
        (Datatype.FP32, [1], b"[NaN]", "malformed"),
        (Datatype.FP32, [1], b"[null]", "Expected `float`, got `null`"),
        (Datatype.BYTES, [1], b"[1]", "Expected `str`, got `int`"),
        (Datatype.INT8, [2, 2], b"[1,2,3]", "the shape \\[2, 2\\], but its data has 3 elements"),
        (Datatype.INT8, [2, 2], b"[[1,2],[3]]", "different lengths"),
        (Datatype.BYTES, [2, 2], b'[["a","b"],["c"]]', "different lengths"),
        (Datatype.INT8, [2, 3], b"[[1,2],[3,4],[5,6]]", "its data has the shape \\[3, 2\\]"),
        (Datatype.BYTES, [2, 1], b'[["a","b"]]', "its data has the shape \\[1, 2\\]"),
        (Datatype.INT8, [2, 2], b"[[[1,2],[3,4]]]", "nested as deeply or flat, but is nested 3 deep"),
        (Datatype.INT8, [1], b"[" * 100_000, "but is nested 100000 deep"),
        (Datatype.INT8, [1], b'{"a":1}', "but is nested 0 deep"),
        (Datatype.FP16, [1], b"[1]", "FP16, which JSON cannot represent"),
        (Datatype.BF16, [1], b"[1]", "BF16, which JSON cannot represent"),
    ],
)
def test_what_is_wrong_in_json_is_named(datatype: Datatype, shape: list[int], data: bytes, what: str) -> None:
    with pytest.raises(FieldError, match=what):
        read_json(datatype, shape, data, "input 'x'")


@pytest.mark.parametrize(
    ("datatype", "element", "error", "what"),
    [
        (Datatype.FP32, np.float32("nan"), ExecutionError, "NaN or infinite"),
        (Datatype.FP64, np.float64("inf"), ExecutionError, "NaN or infinite"),
        (Datatype.FP16, np.float16(1), FieldError, "FP16, which JSON cannot represent"),
        (Datatype.BYTES, b"\xff", FieldError, "is not text"),
    ],
)
def test_what_json_cannot_say_is_not_written(
    datatype: Datatype, element: Any, error: type[Exception], what: str
) -> None:
    array = to_objects((1,), [element]) if datatype is Datatype.BYTES else np.array([element])
    with pytest.raises(error, match=what):
        written(datatype, array)
