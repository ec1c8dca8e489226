"""The data types."""

from __future__ import annotations

import numpy as np
import pytest

from inferox.core import DataType, UnsupportedDTypeError

WITH_NUMPY = [dtype for dtype in DataType if dtype is not DataType.BF16]


def test_they_are_named_as_on_the_wire() -> None:
    assert [dtype.value for dtype in DataType] == [
        "f64", "f32", "f16", "bf16", "i64", "i32", "i16", "i8",
        "u64", "u32", "u16", "u8", "bool",
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", WITH_NUMPY)
def test_numpy_has_the_same_type_both_ways(dtype: DataType) -> None:
    assert DataType.from_numpy(dtype.numpy_dtype) is dtype
    assert dtype.numpy_dtype.itemsize == dtype.size


def test_bf16_is_two_bytes_and_unknown_to_numpy() -> None:
    assert DataType.BF16.size == 2
    with pytest.raises(UnsupportedDTypeError, match="bf16") as caught:
        _ = DataType.BF16.numpy_dtype
    assert DataType.F32 in caught.value.supported
    assert DataType.BF16 not in caught.value.supported


@pytest.mark.parametrize("name", ["complex64", "complex128", "<U3", "object", "datetime64[s]"])
def test_a_foreign_numpy_type_is_refused_and_never_converted(name: str) -> None:
    with pytest.raises(UnsupportedDTypeError):
        DataType.from_numpy(np.dtype(name))


def test_a_foreign_byte_order_is_refused() -> None:
    with pytest.raises(UnsupportedDTypeError):
        DataType.from_numpy(np.dtype("float32").newbyteorder())


def test_parsing_names_what_is_supported() -> None:
    assert DataType.parse("i16") is DataType.I16
    with pytest.raises(UnsupportedDTypeError, match=r"float32.*f32"):
        DataType.parse("float32")


def test_only_floating_types_hold_nan() -> None:
    assert {dtype for dtype in DataType if dtype.is_floating} == {
        DataType.F64,
        DataType.F32,
        DataType.F16,
        DataType.BF16,
    }
