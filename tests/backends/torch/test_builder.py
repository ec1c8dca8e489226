"""Making tensors: the data type that is asked for is the one that comes, and nothing is rounded on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from inferox.backends.torch import TorchBackend, TorchTensorBuilder
from inferox.core import (
    BackendUnavailableError,
    ConfigError,
    DataType,
    DeviceId,
    DTypeMismatchError,
    ExecutionError,
    OutOfMemoryError,
    ShapeMismatchError,
    UnsupportedDTypeError,
)

NUMPY_DTYPES = [dtype.numpy_dtype for dtype in DataType if dtype is not DataType.BF16]


@pytest.fixture
def builder() -> TorchTensorBuilder:
    return TorchBackend.cpu().tensor_builder()


@given(hnp.arrays(st.sampled_from(NUMPY_DTYPES), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)))
def test_numpy_goes_in_and_out_bit_for_bit(array: np.ndarray) -> None:
    tensor = TorchBackend.cpu().tensor_builder().from_numpy(array)
    assert tensor.dtype is DataType.from_numpy(array.dtype)
    assert tensor.shape == array.shape
    assert tensor.numpy().tobytes() == array.tobytes()


@given(
    st.sampled_from([DataType.I64, DataType.I32, DataType.I16, DataType.I8, DataType.U8]),
    st.lists(st.integers(-(2**70), 2**70), min_size=1, max_size=4),
)
def test_integers_come_as_they_are_or_not_at_all(dtype: DataType, values: list[int]) -> None:
    builder = TorchBackend.cpu().tensor_builder()
    bounds = np.iinfo(dtype.numpy_dtype)
    if all(bounds.min <= value <= bounds.max for value in values):
        assert builder.from_slice(values, [len(values)], dtype).numpy().tolist() == values
    else:
        with pytest.raises(DTypeMismatchError):
            builder.from_slice(values, [len(values)], dtype)


@pytest.mark.parametrize("dtype", DataType)
def test_zeros_ones_and_slices_have_the_type_that_was_asked_for(builder: TorchTensorBuilder, dtype: DataType) -> None:
    for tensor in (
        builder.zeros([2, 3], dtype),
        builder.ones([2, 3], dtype),
        builder.from_slice([0, 1] * 3, [2, 3], dtype),
    ):
        assert tensor.dtype is dtype
        assert tensor.shape == (2, 3)
        assert tensor.numel == 6
        assert tensor.size_bytes == 6 * dtype.size
    assert builder.ones([2], dtype).torch.sum() == 2
    assert builder.zeros([0, 5], dtype).numel == 0


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1.5], DataType.I32),
        ([float("nan")], DataType.I64),
        ([float("inf")], DataType.U8),
        ([256], DataType.U8),
        ([-1], DataType.U8),
        ([2], DataType.BOOL),
        (["1"], DataType.F32),
        ([None], DataType.I32),
        ([1e39], DataType.F32),
        ([70000.0], DataType.F16),
        ([1j], DataType.F64),
    ],
)
def test_a_value_that_the_type_cannot_hold_is_refused(
    builder: TorchTensorBuilder, values: Sequence[Any], dtype: DataType
) -> None:
    with pytest.raises(DTypeMismatchError):
        builder.from_slice(values, [1], dtype)


@pytest.mark.parametrize("dtype", [DataType.F64, DataType.F32, DataType.F16, DataType.BF16])
def test_nan_and_infinities_stay(builder: TorchTensorBuilder, dtype: DataType) -> None:
    tensor = builder.from_slice([float("nan"), float("inf"), float("-inf"), -0.0], [4], dtype).torch
    assert tensor.isnan().tolist() == [True, False, False, False]
    assert tensor[1:3].isinf().tolist() == [True, True]
    assert torch.signbit(tensor[3])


def test_nan_payloads_stay(builder: TorchTensorBuilder) -> None:
    bits = np.array([0x7FC01234, 0xFFC00001], dtype=np.uint32).view(np.float32)
    assert builder.from_numpy(bits).numpy().tobytes() == bits.tobytes()


@pytest.mark.parametrize(("count", "shape"), [(5, [2, 3]), (6, [2, -3]), (0, []), (2, [])])
def test_a_shape_that_does_not_hold_the_values(builder: TorchTensorBuilder, count: int, shape: list[int]) -> None:
    with pytest.raises(ShapeMismatchError):
        builder.from_slice([1] * count, shape, DataType.I32)


def test_memory_is_shared_where_it_can_be(builder: TorchTensorBuilder) -> None:
    array = np.zeros(3, np.float32)
    builder.from_numpy(array).torch[0] = 7
    assert array[0] == 7
    array.flags.writeable = False
    builder.from_numpy(array).torch[0] = 9
    assert array[0] == 7, "what is read-only is copied"
    assert builder.from_numpy(np.arange(3)[::-1]).numpy().tolist() == [2, 1, 0]


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "complex64", "object", "<U2", ">f4"])
def test_a_foreign_array_is_refused(builder: TorchTensorBuilder, dtype: str) -> None:
    with pytest.raises(UnsupportedDTypeError):
        builder.from_numpy(np.zeros(2, dtype=dtype))


def test_random_numbers_follow_the_seed_alone(builder: TorchTensorBuilder) -> None:
    torch.manual_seed(0)
    first = builder.randn([1000], DataType.F32, seed=3).numpy()
    torch.manual_seed(1)
    assert np.array_equal(first, builder.randn([1000], DataType.F32, seed=3).numpy())
    assert not np.array_equal(first, builder.randn([1000], DataType.F32, seed=4).numpy())
    assert abs(first.mean()) < 0.2
    assert 0.8 < first.std() < 1.2
    half = builder.randn([1000], DataType.BF16, seed=3).torch
    assert torch.equal(half, torch.from_numpy(first).bfloat16())
    with pytest.raises(UnsupportedDTypeError):
        builder.randn([2], DataType.I32, seed=0)
    with pytest.raises(ConfigError):
        builder.randn([2], DataType.F32, seed=-1)


def test_a_tensor_that_no_machine_has_room_for(builder: TorchTensorBuilder) -> None:
    with pytest.raises(OutOfMemoryError) as caught:
        builder.zeros([2**50], DataType.F32)
    assert caught.value.requested_bytes == 2**52
    assert caught.value.free_bytes is None or caught.value.free_bytes > 0
    with pytest.raises(OutOfMemoryError):
        builder.ones([2**40, 2**40], DataType.F32)


def test_an_absent_device(builder: TorchTensorBuilder) -> None:
    assert builder.with_device(DeviceId.cpu()).device == DeviceId.cpu()
    for device in (DeviceId.cuda(93), DeviceId("npu"), DeviceId.metal(7)):
        with pytest.raises(BackendUnavailableError):
            builder.with_device(device)


def test_dlpack_from_numpy_and_torch(builder: TorchTensorBuilder) -> None:
    source = torch.arange(4.0)
    builder.from_dlpack(source).torch[0] = 9
    assert source[0] == 9
    array = np.arange(4.0)
    assert builder.from_dlpack(array).numpy().tolist() == [0, 1, 2, 3]
    with pytest.raises(ExecutionError, match="DLPack"):
        builder.from_dlpack([1, 2])
