"""Candle's tensors: every bit in and out, nothing converted, and no way to crash the process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import candle
import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.utils.dlpack
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from inferox.backends.candle.builder import CandleTensorBuilder
from inferox.backends.candle.exchange import SUPPORTED
from inferox.backends.candle.tensor import CandleTensor
from inferox.core import (
    BackendUnavailableError,
    DataType,
    DeviceId,
    DTypeMismatchError,
    ExecutionError,
    OutOfMemoryError,
    ShapeMismatchError,
    UnsupportedDTypeError,
)

BUILDER = CandleTensorBuilder()
IN_NUMPY = [dtype for dtype in SUPPORTED if dtype is not DataType.BF16]
LACKING = [dtype for dtype in DataType if dtype not in SUPPORTED]

_BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


@st.composite
def arrays(draw: st.DrawFn) -> npt.NDArray[Any]:
    """Arrays of arbitrary bits, and so of every NaN, in every supported data type and memory layout."""
    dtype = draw(st.sampled_from(IN_NUMPY))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    bits = draw(hnp.arrays(_BITS[dtype.size], shape))
    array = bits.view(dtype.numpy_dtype)
    return array.T if draw(st.booleans()) else array


@settings(deadline=None, max_examples=150)
@given(arrays())
def test_every_bit_comes_back(array: npt.NDArray[Any]) -> None:
    tensor = BUILDER.from_numpy(array)
    found = tensor.numpy()
    assert (tensor.shape, found.shape, found.dtype) == (array.shape, array.shape, array.dtype)
    assert tensor.dtype is DataType.from_numpy(array.dtype)
    assert found.tobytes() == array.tobytes()
    assert found.flags.writeable
    assert np.from_dlpack(tensor).tobytes() == array.tobytes()


@settings(deadline=None, max_examples=50)
@given(arrays())
def test_reshaping_and_transposing(array: npt.NDArray[Any]) -> None:
    flat = BUILDER.from_numpy(array).reshape([array.size])
    assert flat.numpy().tobytes() == array.tobytes()
    if array.ndim > 1:
        turned = CandleTensor(BUILDER.from_numpy(array).candle.transpose(0, 1))
        expected = np.swapaxes(array, 0, 1)
        assert turned.numpy().tobytes() == expected.tobytes()
        assert turned.contiguous().numpy().tobytes() == expected.tobytes()
        assert turned.reshape([array.size]).numpy().tobytes() == expected.tobytes()


def test_a_contiguous_tensor_is_itself() -> None:
    tensor = BUILDER.ones([2, 3], DataType.F32)
    assert tensor.contiguous() is tensor
    assert tensor.to_device(DeviceId.cpu()) is tensor
    assert BUILDER.from_dlpack(tensor) is tensor
    assert tensor.reshape([3, -1]).shape == (3, 2)
    with pytest.raises(ShapeMismatchError):
        tensor.reshape([4, 2])
    with pytest.raises(BackendUnavailableError):
        tensor.to_device(DeviceId.cuda())
    with pytest.raises(BackendUnavailableError):
        BUILDER.with_device(DeviceId.metal())


@pytest.mark.parametrize("dtype", SUPPORTED)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (2, 3)])
def test_filled_tensors(dtype: DataType, shape: tuple[int, ...]) -> None:
    for tensor, value in ((BUILDER.zeros(shape, dtype), 0), (BUILDER.ones(shape, dtype), 1)):
        assert (tensor.shape, tensor.dtype, tensor.device) == (shape, dtype, DeviceId.cpu())
        wide = CandleTensor(tensor.candle.to_dtype(candle.f32)).numpy()
        np.testing.assert_array_equal(wide, np.full(shape, value))


@pytest.mark.parametrize("dtype", LACKING)
def test_data_types_that_candle_lacks(dtype: DataType) -> None:
    makers: list[Callable[[], CandleTensor]] = [
        lambda: BUILDER.zeros([1], dtype),
        lambda: BUILDER.ones([1], dtype),
        lambda: BUILDER.from_slice([1], [1], dtype),
        lambda: BUILDER.from_numpy(np.ones(1, dtype.numpy_dtype)),
        lambda: BUILDER.from_dlpack(np.ones(1, dtype.numpy_dtype)),
    ]
    for make in makers:
        with pytest.raises(UnsupportedDTypeError, match="it supports f64, f32, f16, bf16, i64, u8"):
            make()


def test_candles_own_data_type() -> None:
    with pytest.raises(UnsupportedDTypeError, match="u32"):
        CandleTensor(candle.Tensor([1, 2]))


def test_python_numbers() -> None:
    tensor = BUILDER.from_slice([0.1, 1 / 3, 1e300, float("nan")], [2, 2], DataType.F64)
    np.testing.assert_array_equal(tensor.numpy(), [[0.1, 1 / 3], [1e300, np.nan]])
    assert BUILDER.from_slice([2**62 + 1], [1], DataType.I64).numpy()[0] == 2**62 + 1


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (0.5, DataType.I64),
        (256, DataType.U8),
        (-1, DataType.U8),
        (2**63, DataType.I64),
        (float("nan"), DataType.U8),
        (1e6, DataType.F16),
        (1e39, DataType.F32),
        (1e39, DataType.BF16),
        ("x", DataType.F32),
    ],
)
def test_values_that_a_data_type_cannot_hold(value: Any, dtype: DataType) -> None:
    with pytest.raises(DTypeMismatchError):
        BUILDER.from_slice([1, value], [2], dtype)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(min_value=-3e38, max_value=3e38), min_size=1, max_size=8))
def test_bf16_is_rounded_once(values: list[float]) -> None:
    found = BUILDER.from_slice(values, [len(values)], DataType.BF16)
    expected = torch.tensor(values, dtype=torch.float64).to(torch.float32)
    # If f32 holds the value, PyTorch rounds only once, from there.
    exact = expected.double().numpy() == values
    wide = CandleTensor(found.candle.to_dtype(candle.f32)).numpy()
    np.testing.assert_array_equal(wide[exact], expected.bfloat16().float().numpy()[exact])


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        (DataType.BF16, 1 + 2**-8 + 2**-40, 1 + 2**-7),
        (DataType.BF16, -1 - 2**-8 - 2**-40, -1 - 2**-7),
        (DataType.BF16, 1 + 2**-8, 1),
        (DataType.F16, 1 + 2**-11 + 2**-40, 1 + 2**-10),
    ],
)
def test_what_lies_beside_a_tie_is_rounded_once(dtype: DataType, value: float, expected: float) -> None:
    tensor = BUILDER.from_slice([value], [1], dtype)
    assert torch.utils.dlpack.from_dlpack(tensor).tolist() == [expected]
    assert BUILDER.from_slice([value], [], dtype).shape == ()


def test_bf16_goes_to_whoever_has_it() -> None:
    tensor = BUILDER.from_slice([1.0, float("inf"), float("nan")], [3], DataType.BF16)
    assert tensor.dtype is DataType.BF16
    with pytest.raises(UnsupportedDTypeError, match="numpy"):
        tensor.numpy()
    with pytest.raises(RuntimeError):
        np.from_dlpack(tensor)
    taken = torch.utils.dlpack.from_dlpack(tensor)
    assert taken.dtype is torch.bfloat16
    back = BUILDER.from_dlpack(taken)
    assert back.dtype is DataType.BF16
    assert torch.equal(torch.utils.dlpack.from_dlpack(back).view(torch.int16), taken.view(torch.int16))
    assert taken[:2].tolist() == [1.0, float("inf")]
    assert taken[2].isnan()


def test_counts_that_do_not_fit_the_shape() -> None:
    for dtype in (DataType.F32, DataType.BF16):
        with pytest.raises(ShapeMismatchError):
            BUILDER.from_slice([1, 2, 3], [2, 2], dtype)
        with pytest.raises(ShapeMismatchError):
            BUILDER.zeros([-1], dtype)


@pytest.mark.parametrize("shape", [[2**36], [2**45], [2**62, 2**62], [10**30]])
@pytest.mark.parametrize("dtype", [DataType.F32, DataType.BF16])
def test_absurd_sizes_are_an_error_and_not_the_end(shape: list[int], dtype: DataType) -> None:
    makers: list[Callable[[], CandleTensor]] = [
        lambda: BUILDER.zeros(shape, dtype),
        lambda: BUILDER.ones(shape, dtype),
        lambda: BUILDER.randn(shape, dtype, seed=0),
    ]
    for make in makers:
        with pytest.raises(OutOfMemoryError) as caught:
            make()
        assert caught.value.requested_bytes is not None
        assert caught.value.free_bytes is not None


@pytest.mark.parametrize("dtype", [dtype for dtype in SUPPORTED if dtype.is_floating])
def test_random_numbers(dtype: DataType) -> None:
    drawn = [
        CandleTensor(BUILDER.randn([40, 50], dtype, seed=seed).candle.to_dtype(candle.f64)).numpy()
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert abs(drawn[0].mean()) < 0.1
    assert abs(drawn[0].std() - 1) < 0.1
    with pytest.raises(UnsupportedDTypeError):
        BUILDER.randn([2], DataType.I64, seed=0)


def test_other_libraries() -> None:
    tensor = BUILDER.from_dlpack(torch.arange(6).reshape(2, 3).T)
    np.testing.assert_array_equal(tensor.numpy(), np.arange(6).reshape(2, 3).T)
    assert tensor.__dlpack_device__() == (1, 0)
    assert torch.equal(torch.utils.dlpack.from_dlpack(tensor), torch.arange(6).reshape(2, 3).T)
    with pytest.raises(BufferError):
        tensor.__dlpack__(copy=False)
    with pytest.raises(ExecutionError, match="DLPack"):
        BUILDER.from_dlpack(3)
