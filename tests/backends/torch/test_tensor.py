"""PyTorch's tensors behind our contract."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inferox.backends.torch import TorchTensor
from inferox.core import BackendUnavailableError, DataType, DeviceId, ShapeMismatchError, UnsupportedDTypeError


def test_it_says_what_it_is() -> None:
    tensor = TorchTensor(torch.zeros(2, 3, dtype=torch.float16))
    assert (tensor.shape, tensor.dtype, tensor.device) == ((2, 3), DataType.F16, DeviceId.cpu())
    assert repr(tensor) == "TorchTensor(shape=[2, 3], dtype=f16, device=cpu)"


def test_wrapping_shares_memory() -> None:
    source = torch.zeros(3)
    TorchTensor(source).numpy()[0] = 5
    assert source[0] == 5
    assert TorchTensor(source).torch.data_ptr() == source.data_ptr()


def test_a_tensor_that_wants_gradients_is_for_reading() -> None:
    assert TorchTensor(torch.ones(2, requires_grad=True)).numpy().tolist() == [1, 1]


@pytest.mark.parametrize("dtype", [torch.complex64, torch.uint16, torch.float8_e4m3fn])
def test_a_foreign_type_is_refused(dtype: torch.dtype) -> None:
    with pytest.raises(UnsupportedDTypeError):
        TorchTensor(torch.zeros(2).to(dtype))


def test_bf16_cannot_be_numpy() -> None:
    with pytest.raises(UnsupportedDTypeError, match="DLPack"):
        TorchTensor(torch.zeros(2, dtype=torch.bfloat16)).numpy()


SHAPES = st.lists(st.integers(0, 4), max_size=4)


@given(SHAPES, st.lists(st.integers(-2, 6), max_size=4))
def test_reshape_does_what_numpy_does_or_refuses(shape: list[int], wanted: list[int]) -> None:
    tensor = TorchTensor(torch.arange(int(np.prod(shape))).reshape(shape))
    try:
        expected = tensor.numpy().reshape(wanted)
    except ValueError:
        with pytest.raises(ShapeMismatchError):
            tensor.reshape(wanted)
        return
    if -2 in wanted:
        return
    found = tensor.reshape(wanted)
    assert found.shape == expected.shape
    assert found.numpy().tolist() == expected.tolist()


def test_contiguous_copies_only_where_it_must() -> None:
    whole = TorchTensor(torch.arange(6).reshape(2, 3))
    assert whole.contiguous() is whole
    turned = TorchTensor(whole.torch.T)
    assert turned.contiguous().torch.is_contiguous()
    assert turned.contiguous().numpy().tolist() == [[0, 3], [1, 4], [2, 5]]


def test_moving() -> None:
    tensor = TorchTensor(torch.zeros(2))
    assert tensor.to_device(DeviceId.cpu()) is tensor
    with pytest.raises(BackendUnavailableError, match="cuda:93"):
        tensor.to_device(DeviceId.cuda(93))


def test_dlpack_both_ways_shares_memory() -> None:
    tensor = TorchTensor(torch.arange(3.0))
    view, again = np.from_dlpack(tensor), torch.from_dlpack(tensor)  # type: ignore[arg-type]  # NumPy's stub is older
    again[0] = 7
    assert view[0] == 7
    assert tensor.__dlpack_device__() == (1, 0)
    with pytest.raises(BufferError):
        tensor.__dlpack__(dl_device=(2, 0))


def test_eight_threads_at_once() -> None:
    tensor = TorchTensor(torch.arange(1000).reshape(10, 100))

    def work(index: int) -> int:
        return int(tensor.reshape([100, 10]).contiguous().numpy()[index].sum())

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(100))) == [sum(range(10 * i, 10 * i + 10)) for i in range(100)]
