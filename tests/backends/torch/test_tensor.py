from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.dlpack import from_dlpack

from inferox.backends.torch.device import TorchDevice
from inferox.backends.torch.dtype import to_torch
from inferox.backends.torch.tensor import TorchTensor
from inferox.core import (
    BackendUnavailableError,
    DataType,
    DeviceId,
    ExecutionError,
    ShapeMismatchError,
    Tensor,
    UnsupportedDTypeError,
)

SHAPES = st.lists(st.integers(0, 4), max_size=4)


def test_shape_type_and_device() -> None:
    tensor = TorchTensor(torch.zeros(2, 3, 4, dtype=torch.float16))
    assert isinstance(tensor, Tensor)
    assert tensor.shape == (2, 3, 4)
    assert tensor.dtype is DataType.F16
    assert tensor.device == DeviceId.cpu()
    assert (tensor.numel, tensor.size_bytes) == (24, 48)
    assert repr(tensor) == "TorchTensor(shape=[2, 3, 4], dtype=f16, device=cpu)"


def test_a_scalar_and_an_empty_tensor() -> None:
    assert (TorchTensor(torch.tensor(3.0)).shape, TorchTensor(torch.tensor(3.0)).numel) == ((), 1)
    assert (TorchTensor(torch.zeros(0, 3)).shape, TorchTensor(torch.zeros(0, 3)).numel) == ((0, 3), 0)


def test_wrapping_shares_the_memory() -> None:
    inner = torch.zeros(3)
    tensor = TorchTensor(inner)
    inner[0] = 5
    assert tensor.torch().data_ptr() == inner.data_ptr()
    assert tensor.numpy()[0] == 5
    tensor.numpy()[1] = 7
    assert inner[1] == 7


def test_gradients_are_left_behind() -> None:
    inner = torch.nn.Parameter(torch.ones(2))
    tensor = TorchTensor(inner)
    assert not tensor.torch().requires_grad
    assert tensor.torch().data_ptr() == inner.data_ptr()
    assert tensor.numpy().tolist() == [1, 1]


def test_tensors_of_inference_mode_work_outside_it() -> None:
    with torch.inference_mode():
        tensor = TorchTensor(torch.arange(6.0))
    assert tensor.reshape([2, 3]).contiguous().numpy().tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float8_e4m3fn])
def test_other_types_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(UnsupportedDTypeError):
        TorchTensor(torch.zeros(2, dtype=dtype))


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: torch.zeros(2, 2).to_sparse(), "sparse_coo"),
        (lambda: torch.zeros(2, device="meta"), "on the meta device"),
        (lambda: torch.nested.as_nested_tensor([torch.zeros(1), torch.zeros(2)]), "nested"),
    ],
)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_what_has_no_dense_memory_is_refused(make: Callable[[], torch.Tensor], fault: str) -> None:
    with pytest.raises(ExecutionError, match=f"must be dense and have memory, but this one is {fault}"):
        TorchTensor(make())


def test_a_negation_that_is_only_noted_is_carried_out() -> None:
    noted = torch.tensor([1 + 2j]).conj().imag
    assert noted.is_neg()
    assert np.from_dlpack(TorchTensor(noted)).tolist() == [-2]


def test_moving_to_where_it_lies_gives_itself() -> None:
    tensor = TorchTensor(torch.zeros(2))
    assert tensor.to_device(DeviceId.cpu()) is tensor


def test_moving_to_an_absent_device() -> None:
    with pytest.raises(BackendUnavailableError, match="no device cuda:99"):
        TorchTensor(torch.zeros(2)).to_device(DeviceId.cuda(99))


def test_moving_to_a_device_that_lacks_the_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TorchDevice, "is_available", lambda _: True)
    with pytest.raises(UnsupportedDTypeError, match="metal:0"):
        TorchTensor(torch.zeros(2, dtype=torch.float64)).to_device(DeviceId.metal())


@given(shape=SHAPES, target=st.lists(st.integers(-2, 6), max_size=4))
@settings(deadline=None, max_examples=200)
def test_reshape_does_what_numpy_does_or_refuses(shape: list[int], target: list[int]) -> None:
    array = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    tensor = TorchTensor(torch.from_numpy(array.copy()))
    try:
        expected = array.reshape(target) if min(target, default=0) >= -1 else None
    except ValueError:
        expected = None
    if expected is None or (-1 in target and 0 in target):
        with pytest.raises(ShapeMismatchError):
            tensor.reshape(target)
    else:
        np.testing.assert_array_equal(tensor.reshape(target).numpy(), expected)


@pytest.mark.parametrize("shape", [[7], [-1, 4], [-1, -1], [-2, -3], [2, -3], [0, -1], []])
def test_a_reshape_that_cannot_be_is_refused_before_pytorch_sees_it(shape: list[int]) -> None:
    with pytest.raises(ShapeMismatchError, match="6 elements") as caught:
        TorchTensor(torch.zeros(2, 3)).reshape(shape)
    assert caught.value.__cause__ is None
    assert caught.value.actual == tuple(shape)


def test_reshape_shares_memory_where_it_can() -> None:
    tensor = TorchTensor(torch.zeros(2, 3))
    assert tensor.reshape([3, -1]).torch().data_ptr() == tensor.torch().data_ptr()


def test_contiguous_copies_only_where_there_are_gaps() -> None:
    whole = TorchTensor(torch.arange(6).reshape(2, 3))
    assert whole.contiguous() is whole
    turned = TorchTensor(whole.torch().T)
    copied = turned.contiguous()
    assert copied.torch().is_contiguous()
    assert copied.torch().data_ptr() != whole.torch().data_ptr()
    assert copied.numpy().tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize("dtype", [dtype for dtype in DataType if dtype is not DataType.BF16])
def test_numpy_has_the_same_type_and_memory(dtype: DataType) -> None:
    tensor = TorchTensor(torch.ones(3, dtype=to_torch(dtype)))
    array = tensor.numpy()
    assert array.dtype == dtype.numpy_dtype
    assert array.__array_interface__["data"][0] == tensor.torch().data_ptr()


def test_numpy_lacks_bf16() -> None:
    with pytest.raises(UnsupportedDTypeError, match="numpy does not support the data type bf16"):
        TorchTensor(torch.ones(3, dtype=torch.bfloat16)).numpy()


@pytest.mark.parametrize(
    ("dtype", "consumer"),
    [(dtype, from_dlpack) for dtype in DataType]
    + [(dtype, np.from_dlpack) for dtype in DataType if dtype is not DataType.BF16],
)
def test_other_libraries_take_it_over_through_dlpack(dtype: DataType, consumer: Any) -> None:
    tensor = TorchTensor(torch.arange(6).reshape(2, 3).to(to_torch(dtype)))
    taken = consumer(tensor)
    assert tuple(taken.shape) == (2, 3)
    pointer = taken.data_ptr() if isinstance(taken, torch.Tensor) else taken.__array_interface__["data"][0]
    assert pointer == tensor.torch().data_ptr()
    assert taken.tolist() == tensor.torch().tolist()


def test_dlpack_keeps_strides_and_offsets() -> None:
    tensor = TorchTensor(torch.arange(12).reshape(3, 4)[1:, ::2].T)
    np.testing.assert_array_equal(np.from_dlpack(tensor), [[4, 8], [6, 10]])


def test_dlpack_states_the_device_and_copies_when_asked() -> None:
    tensor = TorchTensor(torch.zeros(3))
    assert tensor.__dlpack_device__() == (1, 0)
    copied = np.from_dlpack(tensor, copy=True)
    tensor.numpy()[0] = 1
    assert copied[0] == 0


def test_dlpack_refuses_a_device_in_the_error_of_the_standard() -> None:
    with pytest.raises(BufferError, match="not to DLPack's"):
        TorchTensor(torch.zeros(3)).__dlpack__(dl_device=(10, 0))


def test_dlpack_outlives_the_tensor() -> None:
    array = np.from_dlpack(TorchTensor(torch.full((1000,), 7.0)))
    torch.full((1000,), 3.0)
    assert (array == 7).all()


def test_eight_threads_share_a_tensor() -> None:
    tensor = TorchTensor(torch.arange(1000).reshape(10, 100))

    def work(row: int) -> int:
        return int(tensor.reshape([100, 10]).contiguous().numpy()[row].sum())

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(100))) == [100 * row + 45 for row in range(100)]


def test_nan_and_infinities_keep_their_bits() -> None:
    bits = np.array([0x7FC00001, 0xFFC0BEEF - 2**32, 0x7F800000, 0xFF800000 - 2**32, 1, -(2**31)], dtype=np.int32)
    tensor = TorchTensor(torch.from_numpy(bits.view(np.float32)))
    np.testing.assert_array_equal(tensor.reshape([2, 3]).contiguous().numpy().view(np.int32).ravel(), bits)
    np.testing.assert_array_equal(np.from_dlpack(tensor).view(np.int32), bits)
