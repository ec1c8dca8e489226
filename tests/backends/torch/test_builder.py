from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from inferox.backends.torch.builder import TorchTensorBuilder
from inferox.backends.torch.device import TorchDevice
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

INTEGERS = [dtype for dtype in DataType if not dtype.is_floating and dtype is not DataType.BOOL]
FLOATS = [dtype for dtype in DataType if dtype.is_floating]
NUMPY_DTYPES = st.sampled_from([dtype.numpy_dtype for dtype in DataType if dtype is not DataType.BF16])


BUILDER = TorchTensorBuilder(DeviceId.cpu())
"""For hypothesis, which draws many examples within one test."""


@pytest.fixture
def builder() -> TorchTensorBuilder:
    return BUILDER


def test_it_makes_tensors_on_its_device(builder: TorchTensorBuilder) -> None:
    assert builder.device == DeviceId.cpu()
    assert builder.with_device(DeviceId.cpu()).device == DeviceId.cpu()
    assert builder.zeros([1], DataType.F32).device == DeviceId.cpu()


def test_an_absent_device(builder: TorchTensorBuilder) -> None:
    with pytest.raises(BackendUnavailableError):
        builder.with_device(DeviceId.cuda(99))


@pytest.mark.parametrize("dtype", list(DataType))
def test_the_type_asked_for_is_the_one_that_comes(builder: TorchTensorBuilder, dtype: DataType) -> None:
    values = [0, 1, 1, 0, 1, 0]
    made = [
        builder.from_slice(values, [2, 3], dtype),
        builder.zeros([2, 3], dtype),
        builder.ones([2, 3], dtype),
        *([builder.randn([2, 3], dtype, seed=1)] if dtype.is_floating else []),
    ]
    assert {tensor.dtype for tensor in made} == {dtype}
    assert {tensor.shape for tensor in made} == {(2, 3)}
    assert made[0].torch().flatten().tolist() == values
    assert made[1].torch().flatten().tolist() == [0] * 6
    assert made[2].torch().flatten().tolist() == [1] * 6


@pytest.mark.parametrize("dtype", list(DataType))
def test_empty_tensors_and_scalars(builder: TorchTensorBuilder, dtype: DataType) -> None:
    assert builder.from_slice([], [0, 5], dtype).shape == (0, 5)
    assert builder.zeros([3, 0], dtype).numel == 0
    assert builder.from_slice([1], [], dtype).shape == ()
    assert builder.ones([], dtype).torch().item() == 1


@given(st.data(), st.sampled_from(INTEGERS))
@settings(deadline=None)
def test_integers_come_back_as_they_were(data: st.DataObject, dtype: DataType) -> None:
    limits = np.iinfo(dtype.numpy_dtype)
    values = data.draw(st.lists(st.integers(int(limits.min), int(limits.max)), max_size=20))
    assert BUILDER.from_slice(values, [len(values)], dtype).numpy().tolist() == values


@pytest.mark.parametrize("dtype", INTEGERS)
def test_the_least_and_greatest_integers_are_held(builder: TorchTensorBuilder, dtype: DataType) -> None:
    extremes = [np.iinfo(dtype.numpy_dtype).min, np.iinfo(dtype.numpy_dtype).max]
    assert builder.from_slice(extremes, [2], dtype).numpy().tolist() == extremes


@given(st.lists(st.floats()))
@settings(deadline=None)
def test_doubles_come_back_as_they_were(values: list[float]) -> None:
    found = BUILDER.from_slice(values, [len(values)], DataType.F64).numpy()
    np.testing.assert_array_equal(found.view(np.int64), np.array(values, np.float64).view(np.int64))


@given(st.lists(st.floats(width=32)), st.sampled_from(FLOATS))
@settings(deadline=None)
def test_narrow_floats_are_the_nearest_or_refused(values: list[float], dtype: DataType) -> None:
    names = {DataType.F64: np.float64, DataType.F32: np.float32, DataType.F16: np.float16}
    with np.errstate(over="ignore"):
        nearest = np.array(values, names.get(dtype, ml_dtypes.bfloat16)).astype(np.float64)
    if np.any(np.isinf(nearest) & np.isfinite(values)):
        with pytest.raises(DTypeMismatchError):
            BUILDER.from_slice(values, [len(values)], dtype)
    else:
        found = BUILDER.from_slice(values, [len(values)], dtype).torch().to(torch.float64).numpy()
        np.testing.assert_array_equal(found, nearest)


@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_infinities_and_negative_zero_stay(builder: TorchTensorBuilder, dtype: DataType) -> None:
    tensor = builder.from_slice([float("nan"), float("inf"), float("-inf"), -0.0], [4], dtype).torch()
    assert tensor.isnan().tolist() == [True, False, False, False]
    assert tensor[1:].tolist() == [float("inf"), float("-inf"), 0]
    assert tensor.signbit().tolist()[1:] == [False, True, True]


def test_numpys_numbers_are_numbers(builder: TorchTensorBuilder) -> None:
    values = [np.int64(3), np.float32(2.0), np.uint64(1), np.bool(True)]
    assert builder.from_slice(values, [4], DataType.I32).numpy().tolist() == [3, 2, 1, 1]
    assert builder.from_slice(list(np.arange(4.0)), [2, 2], DataType.F32).numpy().tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1.5, DataType.I64),
        (float("nan"), DataType.I32),
        (float("inf"), DataType.I32),
        (128, DataType.I8),
        (-1, DataType.U8),
        (256, DataType.U8),
        (2**15, DataType.I16),
        (2**31, DataType.I32),
        (2**63, DataType.I64),
        (2, DataType.BOOL),
        (0.5, DataType.BOOL),
        (1e39, DataType.F32),
        (65520.0, DataType.F16),
        (3.4e38, DataType.BF16),
        (10**400, DataType.F64),
        ("1", DataType.F32),
        ("1", DataType.I64),
        (None, DataType.F32),
        (1j, DataType.F64),
        ([1], DataType.I64),
    ],
)
def test_a_value_that_cannot_be_held_is_refused_with_its_place(
    builder: TorchTensorBuilder, value: Any, dtype: DataType
) -> None:
    with pytest.raises(DTypeMismatchError, match="value 1 must have the data type"):
        builder.from_slice([0, value], [2], dtype)


@pytest.mark.parametrize("dtype", [DataType.I64, DataType.F64])
def test_an_integer_too_long_to_print_is_told_by_its_bits(builder: TorchTensorBuilder, dtype: DataType) -> None:
    with pytest.raises(DTypeMismatchError, match=r"value 0 must have .*, but has an integer of 20001 bits"):
        builder.from_slice([2**20000], [1], dtype)


@pytest.mark.parametrize(("count", "shape"), [(5, [2, 3]), (7, [2, 3]), (0, [1]), (2, [])])
def test_as_many_values_as_the_shape_holds(builder: TorchTensorBuilder, count: int, shape: list[int]) -> None:
    with pytest.raises(ShapeMismatchError, match=f"a tensor of {count} values"):
        builder.from_slice([0] * count, shape, DataType.F32)


def test_negative_extents_are_refused_even_where_they_multiply_to_the_count(builder: TorchTensorBuilder) -> None:
    with pytest.raises(ShapeMismatchError):
        builder.from_slice([0] * 6, [-2, -3], DataType.F32)
    for make in (builder.zeros, builder.ones):
        with pytest.raises(ShapeMismatchError, match="0 or more"):
            make([2, -1], DataType.F32)
    with pytest.raises(ShapeMismatchError):
        builder.randn([-1], DataType.F32, seed=0)


@pytest.mark.parametrize("shape", [[2**50], [2**62], [2**40, 2**40], [2**64]])
def test_petabytes_are_a_lack_of_memory(builder: TorchTensorBuilder, shape: list[int]) -> None:
    for make in (builder.zeros, builder.ones, lambda shape, dtype: builder.randn(shape, dtype, seed=0)):
        with pytest.raises(OutOfMemoryError) as caught:
            make(shape, DataType.F32)
        assert caught.value.requested_bytes == int(np.prod(np.array(shape, object))) * 4


@pytest.mark.parametrize("shape", [[0, 2**70], [0, 2**62, 4], [2**70, 0]])
def test_an_empty_tensor_spans_no_more_than_can_be_addressed(builder: TorchTensorBuilder, shape: list[int]) -> None:
    for make in (builder.zeros, lambda shape, dtype: builder.from_slice([], shape, dtype)):
        with pytest.raises(OutOfMemoryError, match="more than any machine can address"):
            make(shape, DataType.F32)


@given(NUMPY_DTYPES.flatmap(lambda dtype: numpy_strategies.arrays(dtype, numpy_strategies.array_shapes(min_side=0))))
@settings(deadline=None)
def test_numpy_arrays_are_shared_bit_for_bit(array: npt.NDArray[Any]) -> None:
    tensor = BUILDER.from_numpy(array)
    assert tensor.dtype is DataType.from_numpy(array.dtype)
    assert tensor.numpy().tobytes() == array.tobytes()
    if array.size:
        assert np.shares_memory(tensor.numpy(), array)


def test_strided_arrays_are_shared_and_reversed_ones_copied(builder: TorchTensorBuilder) -> None:
    array = np.arange(12).reshape(3, 4)
    for view in (array.T, array[1:, ::2], np.broadcast_to(array[:1], (3, 4)).copy()):
        assert np.shares_memory(builder.from_numpy(view).numpy(), view)
        np.testing.assert_array_equal(builder.from_numpy(view).numpy(), view)
    for view in (array[::-1], array[:, ::-1]):
        assert not np.shares_memory(builder.from_numpy(view).numpy(), array)
        np.testing.assert_array_equal(builder.from_numpy(view).numpy(), view)


def test_fields_of_records_have_strides_that_pytorch_lacks(builder: TorchTensorBuilder) -> None:
    records = np.array([(1, 2.0), (3, 4.0)], dtype=[("a", "i1"), ("b", "<f4")])
    np.testing.assert_array_equal(builder.from_numpy(records["b"]).numpy(), [2, 4])


def test_read_only_arrays_are_copied(builder: TorchTensorBuilder) -> None:
    array = np.zeros(3, np.float32)
    array.setflags(write=False)
    tensor = builder.from_numpy(array)
    tensor.torch()[0] = 1
    assert array[0] == 0
    assert builder.from_dlpack(array).torch().data_ptr() != array.ctypes.data


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        (DataType.BF16, 1 + 2**-8 + 2**-40, 1 + 2**-7),
        (DataType.BF16, -1 - 2**-8 - 2**-40, -1 - 2**-7),
        (DataType.BF16, 1 + 2**-8, 1),
        (DataType.F16, 1 + 2**-11 + 2**-40, 1 + 2**-10),
        (DataType.F16, 1 + 2**-11, 1),
        (DataType.F32, 1 + 2**-24 + 2**-40, 1 + 2**-23),
    ],
)
def test_a_value_is_rounded_once(builder: TorchTensorBuilder, dtype: DataType, value: float, expected: float) -> None:
    assert builder.from_slice([value], [1], dtype).torch().tolist() == [expected]


def test_bf16_of_ml_dtypes(builder: TorchTensorBuilder) -> None:
    array = np.array([1.5, float("nan"), -0.0], ml_dtypes.bfloat16)
    tensor = builder.from_numpy(array)
    assert tensor.dtype is DataType.BF16
    assert tensor.torch().view(torch.int16).numpy().tobytes() == array.tobytes()
    array[0] = 2
    assert tensor.torch()[0] == 2


@pytest.mark.parametrize("array", [np.zeros(2, ">f4"), np.array(["a"]), np.array([object()]), np.zeros(2, complex)])
def test_other_arrays_are_refused(builder: TorchTensorBuilder, array: npt.NDArray[Any]) -> None:
    with pytest.raises(UnsupportedDTypeError):
        builder.from_numpy(array)


def test_dlpack_is_taken_over_without_a_copy(builder: TorchTensorBuilder) -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    first = builder.zeros([3], DataType.I16)
    array = np.zeros(3, np.float32)
    assert builder.from_dlpack(parameter).torch().data_ptr() == parameter.data_ptr()
    assert builder.from_dlpack(first).torch().data_ptr() == first.torch().data_ptr()
    assert np.shares_memory(builder.from_dlpack(array).numpy(), array)


@pytest.mark.parametrize("source", [[1, 2], 3.0, None])
def test_what_does_not_speak_dlpack(builder: TorchTensorBuilder, source: Any) -> None:
    with pytest.raises(ExecutionError, match="must support DLPack"):
        builder.from_dlpack(source)


def test_dlpack_of_other_types_or_without_memory(builder: TorchTensorBuilder) -> None:
    with pytest.raises(UnsupportedDTypeError):
        builder.from_dlpack(torch.zeros(2, dtype=torch.complex64))
    with pytest.raises(ExecutionError):
        builder.from_dlpack(torch.zeros(2, 2).to_sparse())


def test_draws_are_standard_normal_and_the_same_for_the_same_seed(builder: TorchTensorBuilder) -> None:
    draws = builder.randn([100, 100], DataType.F32, seed=7).numpy()
    assert abs(draws.mean()) < 0.05
    assert abs(draws.std() - 1) < 0.05
    np.testing.assert_array_equal(draws, builder.randn([100, 100], DataType.F32, seed=7).numpy())
    assert not np.array_equal(draws, builder.randn([100, 100], DataType.F32, seed=8).numpy())


def test_draws_leave_the_random_state_of_others_alone(builder: TorchTensorBuilder) -> None:
    torch.manual_seed(1)
    expected = torch.randn(3)
    torch.manual_seed(1)
    builder.randn([5], DataType.F32, seed=2)
    assert torch.equal(torch.randn(3), expected)


def test_narrow_draws_are_the_wide_ones_rounded_once(builder: TorchTensorBuilder) -> None:
    wide = builder.randn([5000], DataType.F64, seed=3).torch().tolist()
    for dtype in (DataType.F32, DataType.F16, DataType.BF16):
        expected = builder.from_slice(wide, [5000], dtype).torch()
        assert torch.equal(builder.randn([5000], dtype, seed=3).torch(), expected)


@pytest.mark.parametrize("dtype", [dtype for dtype in DataType if not dtype.is_floating])
def test_integers_are_not_drawn(builder: TorchTensorBuilder, dtype: DataType) -> None:
    with pytest.raises(UnsupportedDTypeError) as caught:
        builder.randn([2], dtype, seed=0)
    assert caught.value.supported == tuple(FLOATS)


def test_a_seed_is_not_negative(builder: TorchTensorBuilder) -> None:
    with pytest.raises(ConfigError, match="-1"):
        builder.randn([2], DataType.F32, seed=-1)


def test_a_device_without_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TorchDevice, "is_available", lambda _: True)
    metal = TorchTensorBuilder(DeviceId.metal())
    makers: list[Callable[[], object]] = [
        lambda: metal.zeros([1], DataType.F64),
        lambda: metal.ones([1], DataType.F64),
        lambda: metal.randn([1], DataType.F64, seed=0),
        lambda: metal.from_slice([1], [1], DataType.F64),
        lambda: metal.from_numpy(np.zeros(1)),
        lambda: metal.from_dlpack(torch.zeros(1, dtype=torch.float64)),
    ]
    for make in makers:
        with pytest.raises(UnsupportedDTypeError, match="metal:0"):
            make()
