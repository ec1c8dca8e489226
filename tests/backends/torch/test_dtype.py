from __future__ import annotations

import pytest
import torch

from inferox.backends.torch.dtype import check_dtype, from_torch, supported_dtypes, to_torch
from inferox.core import DataType, DeviceId, UnsupportedDTypeError


@pytest.mark.parametrize("dtype", list(DataType))
def test_every_type_has_its_counterpart_of_the_same_size(dtype: DataType) -> None:
    counterpart = to_torch(dtype)
    assert from_torch(counterpart) is dtype
    assert counterpart.itemsize == dtype.size
    assert counterpart.is_floating_point == dtype.is_floating


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float8_e4m3fn, torch.complex128, torch.qint8])
def test_other_types_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(UnsupportedDTypeError, match=str(dtype).removeprefix("torch.")) as caught:
        from_torch(dtype)
    assert caught.value.supported == tuple(DataType)


@pytest.mark.parametrize("device", [DeviceId.cpu(), DeviceId.cuda(1)])
def test_cpus_and_nvidia_gpus_have_every_type(device: DeviceId) -> None:
    assert list(supported_dtypes(device)) == list(DataType)


def test_apple_gpus_lack_double_precision() -> None:
    assert set(DataType) - set(supported_dtypes(DeviceId.metal())) == {DataType.F64}
    with pytest.raises(UnsupportedDTypeError, match="torch on metal:0 does not support the data type f64") as caught:
        check_dtype(DataType.F64, DeviceId.metal())
    assert caught.value.dtype is DataType.F64
    check_dtype(DataType.F32, DeviceId.metal())
