"""The construction of tensors from numbers, which all backends share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from inferox.backends.host import ArrayTensorBuilder, HostTensor, HostTensorBuilder
from inferox.backends.registry import backend_names, get_backend
from inferox.core import DataType, DTypeMismatchError, OutOfMemoryError

BUILDER = HostTensorBuilder("numpy")


@pytest.mark.parametrize("name", backend_names())
@pytest.mark.parametrize("dtype", [DataType.F64, DataType.F32, DataType.F16])
def test_a_seed_gives_the_same_draws_on_every_runtime(name: str, dtype: DataType) -> None:
    found = get_backend(name).tensor_builder().randn([40, 5], dtype, seed=11)
    np.testing.assert_array_equal(found.numpy(), BUILDER.randn([40, 5], dtype, seed=11).numpy())


class FullBuilder(ArrayTensorBuilder[HostTensor]):
    def __init__(self) -> None:
        super().__init__("full", list(DataType))

    def _adopt(self, array: npt.NDArray[Any], dtype: DataType) -> HostTensor:  # noqa: ARG002
        raise MemoryError


def test_a_lack_of_memory_is_told_with_what_was_asked() -> None:
    builder = FullBuilder()
    makers: list[Callable[[], HostTensor]] = [
        lambda: builder.zeros([2, 3], DataType.F32),
        lambda: builder.ones([2, 3], DataType.F32),
        lambda: builder.randn([2, 3], DataType.F32, seed=0),
        lambda: builder.from_slice([1] * 6, [2, 3], DataType.F32),
        lambda: builder.from_numpy(np.zeros((2, 3), np.float32)),
    ]
    for make in makers:
        expected = r"full does not have enough memory for a tensor of \[2, 3\]"
        with pytest.raises(OutOfMemoryError, match=expected) as caught:
            make()
        assert caught.value.requested_bytes == 24
        assert caught.value.free_bytes


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(10**400, DataType.F64), (2**63, DataType.I64), (float("nan"), DataType.U8), (65520.0, DataType.F16)],
)
def test_what_is_not_representable_is_refused_with_its_place(value: Any, dtype: DataType) -> None:
    with pytest.raises(DTypeMismatchError, match="value 1 must have the data type"):
        BUILDER.from_slice([0, value], [2], dtype)
