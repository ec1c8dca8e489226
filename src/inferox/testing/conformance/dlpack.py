"""Tests of DLPack in both directions: tensors are exchanged with other libraries without changing a single bit."""
# ruff: noqa: D102, S101 - tests assert, and their names say what

from __future__ import annotations

import gc

import numpy as np
import pytest

from inferox.core import Backend, DataType, DeviceId, InferoxError, TensorBuilder, UnsupportedDTypeError
from inferox.testing.conformance.arrays import NUMPY_DTYPES, random_bits
from inferox.testing.conformance.subject import Subject

_CPU = (1, 0)
"""DLPack's type and index of the CPU."""

TORCH_NAMES = {
    DataType.F64: "float64",
    DataType.F32: "float32",
    DataType.F16: "float16",
    DataType.BF16: "bfloat16",
    DataType.I64: "int64",
    DataType.I32: "int32",
    DataType.I16: "int16",
    DataType.I8: "int8",
    DataType.U64: "uint64",
    DataType.U32: "uint32",
    DataType.U16: "uint16",
    DataType.U8: "uint8",
    DataType.BOOL: "bool",
}


class DLPackTests(Subject):
    """Tests of the DLPack side of ``Tensor`` and ``TensorBuilder``."""

    @pytest.fixture
    def host_builder(self, backend: Backend) -> TensorBuilder:
        """Returns the builder of tensors on the CPU, whose memory every library can share."""
        if backend.default_device() != DeviceId.cpu():
            pytest.skip("the default device is not the CPU, whose memory every library reads")
        return backend.tensor_builder()

    def test_numpy_takes_tensors_over(self, host_builder: TensorBuilder) -> None:
        taken = []
        for dtype in self.dtypes & set(NUMPY_DTYPES):
            array = random_bits(dtype, (3, 4))
            tensor = host_builder.from_numpy(array)
            assert tensor.__dlpack_device__() == _CPU
            found = np.from_dlpack(tensor)
            assert (found.dtype, found.shape) == (array.dtype, array.shape)
            assert found.tobytes() == array.tobytes()
            assert np.shares_memory(found, array) is self.zero_copy
            taken.append((found, array.tobytes()))
        del tensor, array
        gc.collect()  # only once, as it is slow when large libraries are loaded
        for found, expected in taken:
            assert found.tobytes() == expected

    def test_torch_takes_tensors_over(self, host_builder: TensorBuilder) -> None:
        torch = pytest.importorskip("torch")
        for dtype in self.dtypes:
            tensor = host_builder.from_slice([0, 1, 1, 0, 1, 1], [2, 3], dtype)
            found = torch.from_dlpack(tensor)
            assert found.dtype is getattr(torch, TORCH_NAMES[dtype])
            assert found.tolist() == [[0, 1, 1], [0, 1, 1]]

    def test_numpy_arrays_come_in(self, host_builder: TensorBuilder) -> None:
        for dtype in self.dtypes & set(NUMPY_DTYPES):
            array = random_bits(dtype, (3, 4))
            tensor = host_builder.from_dlpack(array)
            assert (tensor.dtype, tensor.shape, tensor.device) == (dtype, array.shape, host_builder.device)
            assert self.read_bytes(tensor) == array.tobytes()
            assert np.shares_memory(tensor.numpy(), array) is self.zero_copy

    def test_torch_tensors_come_in(self, host_builder: TensorBuilder) -> None:
        torch = pytest.importorskip("torch")
        for dtype in DataType:
            given = torch.arange(6).reshape(2, 3).to(getattr(torch, TORCH_NAMES[dtype]))
            if dtype not in self.dtypes:
                with pytest.raises(UnsupportedDTypeError):
                    host_builder.from_dlpack(given)
                continue
            tensor = host_builder.from_dlpack(given)
            assert (tensor.dtype, tensor.shape) == (dtype, (2, 3))
            assert self.read_bytes(tensor) == bytes(given.view(torch.uint8).numpy().tobytes())
            transposed = host_builder.from_dlpack(given.T)
            assert transposed.shape == (3, 2)
            assert self.read_bytes(transposed) == bytes(given.T.contiguous().view(torch.uint8).numpy().tobytes())

    def test_its_own_tensors_come_in(self, host_builder: TensorBuilder) -> None:
        for dtype in self.dtypes:
            tensor = host_builder.from_slice([0, 1, 1], [3], dtype)
            assert self.read_bytes(host_builder.from_dlpack(tensor)) == self.read_bytes(tensor)

    def test_read_only_arrays_come_in_as_copies(self, host_builder: TensorBuilder) -> None:
        array = np.zeros(4, np.float32)
        array.setflags(write=False)
        found = host_builder.from_dlpack(array).numpy()
        assert not found.flags.writeable or not np.shares_memory(found, array)

    def test_what_does_not_speak_dlpack(self, host_builder: TensorBuilder) -> None:
        for value in (3, "text", None, [1.0, 2.0]):
            with pytest.raises(InferoxError):
                host_builder.from_dlpack(value)

    def test_data_types_that_are_none_of_ours(self, host_builder: TensorBuilder) -> None:
        for name in ("complex64", "complex128"):
            with pytest.raises(UnsupportedDTypeError):
                host_builder.from_dlpack(np.zeros(2, name))
