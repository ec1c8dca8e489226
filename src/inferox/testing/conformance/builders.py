"""Tests of builders: tensors have the requested data type, and nothing is rounded or wrapped around."""
# ruff: noqa: D102, PLR2004, S101 - tests assert, and their names say what

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from inferox.core import (
    BackendUnavailableError,
    ConfigError,
    DataType,
    DTypeMismatchError,
    OutOfMemoryError,
    ShapeMismatchError,
    Tensor,
    TensorBuilder,
    UnsupportedDTypeError,
)
from inferox.testing.conformance.arrays import special_values
from inferox.testing.conformance.subject import NOWHERE, Subject

NAN, INFINITY = float("nan"), float("inf")

UNREPRESENTABLE: dict[DataType, tuple[Any, ...]] = {
    DataType.F64: ("1.5", None, 10**400, 1j, [1.0]),
    DataType.F32: ("1.5", None, 1e39, 10**400, [1.0]),
    DataType.F16: ("1.5", None, 65536.0),
    DataType.BF16: ("1.5", None, 1e39),
    DataType.I64: (0.5, NAN, INFINITY, 2**63, "1", None),
    DataType.I32: (0.5, NAN, 2**31, -(2**31) - 1),
    DataType.I16: (0.5, NAN, 2**15),
    DataType.I8: (0.5, NAN, 128, -129),
    DataType.U64: (0.5, NAN, -1, 2**64, "1"),
    DataType.U32: (0.5, NAN, -1, 2**32),
    DataType.U16: (0.5, NAN, -1, 2**16),
    DataType.U8: (0.5, NAN, -1, 256, 10**5000, "1", None),
    DataType.BOOL: (0.5, NAN, 2, -1, 10**5000, "x", None),
}
"""Values that each data type cannot represent."""

HUGE = ((2**62,), (2**70,), (2**31, 2**31, 2**31), (2**50,), (0, 2**62, 2**62), (1,) * 100)
"""Shapes that exceed every machine's memory, or what a runtime can count."""


class BuilderTests(Subject):
    """Tests of the contract of ``inferox.core.TensorBuilder``."""

    def test_the_device_is_the_one_asked_for(self, builder: TensorBuilder) -> None:
        same = builder.with_device(builder.device)
        assert same.device == builder.device
        assert same.zeros([1], DataType.F32).device == builder.device
        with pytest.raises(BackendUnavailableError):
            builder.with_device(NOWHERE)

    @pytest.mark.parametrize("dtype", DataType, ids=str)
    def test_zeros_and_ones(self, builder: TensorBuilder, dtype: DataType) -> None:
        for shape in ((2, 3), (), (0,), (3, 0, 2), (1, 1, 1, 1, 1, 1)):
            for make, value in ((builder.zeros, 0), (builder.ones, 1)):
                if dtype not in self.dtypes:
                    continue
                tensor = make(shape, dtype)
                assert (tensor.dtype, tensor.shape, tensor.device) == (dtype, shape, builder.device)
                expected = builder.from_slice([value] * tensor.numel, shape, dtype)
                assert self.read_bytes(tensor) == self.read_bytes(expected)

    @pytest.mark.parametrize("dtype", DataType, ids=str)
    def test_numbers_come_as_they_are(self, builder: TensorBuilder, dtype: DataType) -> None:
        if dtype not in self.dtypes or dtype is DataType.BF16:
            return
        array = special_values(dtype)
        tensor = builder.from_slice(array.tolist(), array.shape, dtype)
        assert tensor.dtype is dtype
        np.testing.assert_array_equal(tensor.numpy(), array)
        if dtype.is_floating:
            numbers = ~np.isnan(array)
            np.testing.assert_array_equal(np.signbit(tensor.numpy()[numbers]), np.signbit(array[numbers]))

    def test_numbers_come_in_order(self, builder: TensorBuilder) -> None:
        found = builder.from_slice([1, 2, 3, 4, 5, 6], [2, 3], DataType.F32)
        np.testing.assert_array_equal(found.numpy(), np.array([[1, 2, 3], [4, 5, 6]], np.float32))
        assert builder.from_slice([], [0, 4], DataType.F32).shape == (0, 4)
        assert builder.from_slice([7], [], DataType.F32).shape == ()

    @pytest.mark.parametrize("dtype", DataType, ids=str)
    def test_values_that_the_type_does_not_hold(self, builder: TensorBuilder, dtype: DataType) -> None:
        for value in UNREPRESENTABLE[dtype] if dtype in self.dtypes else ():
            try:
                found = builder.from_slice([0, value], [2], dtype)
            except DTypeMismatchError:
                continue
            pytest.fail(f"a {type(value).__name__} became {self.read_bytes(found)!r}")

    @pytest.mark.parametrize("shape", [(2,), (), (4,), (-3,), (-1, -3), (3, 0)], ids=str)
    def test_as_many_values_as_the_shape_holds(self, builder: TensorBuilder, shape: tuple[int, ...]) -> None:
        with pytest.raises(ShapeMismatchError):
            builder.from_slice([1, 2, 3], shape, DataType.F32)

    def test_negative_extents(self, builder: TensorBuilder) -> None:
        for make in (builder.zeros, builder.ones):
            with pytest.raises(ShapeMismatchError):
                make([2, -1], DataType.F32)
        with pytest.raises(ShapeMismatchError):
            builder.randn([2, -1], DataType.F32, seed=0)

    @pytest.mark.parametrize("shape", HUGE, ids=lambda shape: f"{len(shape)} axes of {shape[-1]}")
    def test_huge_shapes_are_refused_or_hold_nothing(self, builder: TensorBuilder, shape: tuple[int, ...]) -> None:
        def draw(shape: tuple[int, ...], dtype: DataType) -> Tensor:
            return builder.randn(shape, dtype, seed=0)

        for make in (builder.zeros, builder.ones, draw):
            try:
                found = make(shape, DataType.F32)
            except (OutOfMemoryError, ShapeMismatchError):
                continue
            assert found.shape == shape
            assert found.numel <= 1

    def test_draws_are_normal_and_repeatable(self, builder: TensorBuilder) -> None:
        for dtype in sorted(self.dtypes, key=str):
            if not dtype.is_floating:
                with pytest.raises(UnsupportedDTypeError):
                    builder.randn([4], dtype, seed=0)
                continue
            first, again, other = (builder.randn([64, 64], dtype, seed=seed) for seed in (3, 3, 4))
            assert (first.dtype, first.shape, first.device) == (dtype, (64, 64), builder.device)
            assert self.read_bytes(first) == self.read_bytes(again)
            assert self.read_bytes(first) != self.read_bytes(other)
        numbers = builder.randn([64, 64], DataType.F32, seed=3).numpy()
        # The standard error of 4,096 draws is 0.016 for the mean and 0.011 for the deviation.
        assert abs(numbers.mean()) < 0.1
        assert abs(numbers.std() - 1) < 0.1

    def test_a_seed_is_not_negative(self, builder: TensorBuilder) -> None:
        with pytest.raises(ConfigError):
            builder.randn([4], DataType.F32, seed=-1)

    def test_a_draw_leaves_the_process_random_state_alone(self, builder: TensorBuilder) -> None:
        before = np.random.get_state()[1].tobytes()  # type: ignore[index]
        builder.randn([8], DataType.F32, seed=0)
        assert np.random.get_state()[1].tobytes() == before  # type: ignore[index]

    @pytest.mark.parametrize("dtype", ["complex64", "complex128", "datetime64[s]", "U3", "object", ">f4"])
    def test_arrays_of_other_types(self, builder: TensorBuilder, dtype: str) -> None:
        with pytest.raises(UnsupportedDTypeError):
            builder.from_numpy(np.zeros(2, dtype))

    def test_the_builder_gives_new_memory_each_time(self, builder: TensorBuilder) -> None:
        first, other = builder.zeros([4], DataType.F32), builder.zeros([4], DataType.F32)
        assert not np.shares_memory(first.numpy(), other.numpy())
        values = [1.0, 2.0]
        tensor = builder.from_slice(values, [2], DataType.F32)
        values[0] = 9.0
        np.testing.assert_array_equal(tensor.numpy(), np.array([1, 2], np.float32))

    def test_nested_lists_are_no_numbers(self, builder: TensorBuilder) -> None:
        with pytest.raises(DTypeMismatchError):
            builder.from_slice([[1, 2], [3, 4]], [2], DataType.F32)
