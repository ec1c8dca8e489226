"""Tests of tensors: whatever goes in comes out, bit by bit, in any layout."""
# ruff: noqa: D102, S101 - tests assert, and their names say what

from __future__ import annotations

import gc
from collections.abc import Callable

import numpy as np
import pytest

from inferox.core import (
    BackendUnavailableError,
    DataType,
    DeviceId,
    ShapeMismatchError,
    Tensor,
    TensorBuilder,
    UnsupportedDTypeError,
)
from inferox.testing.conformance.arrays import layouts, random_bits, special_values
from inferox.testing.conformance.subject import NOWHERE, Subject


class TensorTests(Subject):
    """Tests of the contract of ``inferox.core.Tensor``."""

    @pytest.mark.parametrize("dtype", DataType, ids=str)
    def test_every_bit_of_a_data_type_survives_or_the_type_is_refused(
        self, builder: TensorBuilder, dtype: DataType
    ) -> None:
        if dtype not in self.dtypes:
            self._assert_refused(builder, dtype)
        elif dtype is DataType.BF16:
            self._assert_bf16_survives(builder)
        else:
            for array in (random_bits(dtype, (3, 5)), special_values(dtype)):
                tensor = builder.from_numpy(array)
                assert (tensor.dtype, tensor.shape, tensor.device) == (dtype, array.shape, builder.device)
                assert self.read_bytes(tensor) == array.tobytes()

    def _assert_refused(self, builder: TensorBuilder, dtype: DataType) -> None:
        makers: list[Callable[[], Tensor]] = [
            lambda: builder.zeros([2], dtype),
            lambda: builder.ones([2], dtype),
            lambda: builder.from_slice([0, 1], [2], dtype),
        ]
        if dtype is not DataType.BF16:
            makers.append(lambda: builder.from_numpy(np.ones(2, dtype.numpy_dtype)))
        for make in makers:
            with pytest.raises(UnsupportedDTypeError) as caught:
                make()
            assert set(caught.value.supported) == self.dtypes
            assert caught.value.dtype is dtype

    def _assert_bf16_survives(self, builder: TensorBuilder) -> None:
        values = [1.0, -2.5, float("inf"), float("-inf"), 0.15625, -0.0]
        tensor = builder.from_slice(values, [2, 3], DataType.BF16)
        assert (tensor.dtype, tensor.shape) == (DataType.BF16, (2, 3))
        # These numbers are exact in bf16, which is the upper half of f32.
        expected = (np.array(values, np.float32).view(np.uint32) >> 16).astype(np.uint16)
        assert self.read_bytes(tensor) == expected.tobytes()
        with pytest.raises(UnsupportedDTypeError):
            tensor.numpy()

    def test_every_layout_in_memory_keeps_its_elements(self, builder: TensorBuilder) -> None:
        for name, array in layouts(random_bits(DataType.F32, (4, 6))).items():
            tensor = builder.from_numpy(array)
            assert tensor.shape == array.shape, name
            assert self.read_bytes(tensor) == array.tobytes(), name
            dense = tensor.contiguous()
            assert dense.numpy().flags.c_contiguous, name
            assert self.read_bytes(dense) == array.tobytes(), name

    def test_memory_is_shared_exactly_where_that_is_claimed(self, builder: TensorBuilder) -> None:
        if builder.device != DeviceId.cpu():
            pytest.skip("memory is shared on the CPU alone")
        array = random_bits(DataType.F32, (3, 4))
        tensor = builder.from_numpy(array)
        assert np.shares_memory(tensor.numpy(), array) is self.zero_copy
        assert np.shares_memory(tensor.numpy(), tensor.numpy()) is self.zero_copy

    def test_read_only_memory_is_never_written_to(self, builder: TensorBuilder) -> None:
        array = np.zeros(4, np.float32)
        array.setflags(write=False)
        found = builder.from_numpy(array).numpy()
        assert not found.flags.writeable or not np.shares_memory(found, array)

    def test_elements_outlive_what_they_came_from(self, builder: TensorBuilder) -> None:
        array = random_bits(DataType.F32, (256, 256))
        expected = array.tobytes()
        found = builder.from_numpy(array).numpy()
        del array
        gc.collect()
        _ = [np.full((256, 256), 1.0, np.float32) for _ in range(8)]
        assert found.tobytes() == expected

    def test_sizes(self, builder: TensorBuilder) -> None:
        for shape, numel in (((2, 3), 6), ((), 1), ((0, 5), 0), ((4, 1, 0), 0)):
            tensor = builder.zeros(shape, DataType.F32)
            assert (tensor.shape, tensor.numel, tensor.size_bytes) == (shape, numel, 4 * numel)
            assert isinstance(tensor.shape, tuple)
            assert repr(tensor)

    def test_reshape(self, builder: TensorBuilder) -> None:
        array = random_bits(DataType.F32, (2, 6))
        for source in (array, array.T, array[::-1]):
            tensor = builder.from_numpy(source)
            for asked, shape in (((3, 4), (3, 4)), ((-1,), (12,)), ((2, -1, 3), (2, 2, 3)), ([12, 1], (12, 1))):
                found = tensor.reshape(asked)
                assert (found.shape, found.dtype) == (shape, DataType.F32)
                assert self.read_bytes(found) == source.tobytes()
        assert builder.zeros((), DataType.F32).reshape((1, 1)).shape == (1, 1)
        assert builder.zeros((0, 3), DataType.F32).reshape((5, 0)).shape == (5, 0)

    @pytest.mark.parametrize("shape", [(5,), (), (-1, -1), (-2, -6), (-1, 5), (0, -1), (2**40, 2**40)], ids=str)
    def test_a_reshape_that_does_not_fit(self, builder: TensorBuilder, shape: tuple[int, ...]) -> None:
        with pytest.raises(ShapeMismatchError):
            builder.zeros((2, 6), DataType.F32).reshape(shape)

    def test_to_device(self, builder: TensorBuilder) -> None:
        tensor = builder.ones((2,), DataType.F32)
        assert tensor.to_device(builder.device) is tensor
        with pytest.raises(BackendUnavailableError):
            tensor.to_device(NOWHERE)
