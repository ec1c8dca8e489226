from __future__ import annotations

from typing import Any

import pytest
import torch

from inferox.backends.torch.precision import compute_dtype
from inferox.core import DataType, Precision, UnsupportedDTypeError

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [(Precision.FP32, torch.float32), (Precision.BF16, torch.bfloat16), (Precision.FP16, torch.float16)],
)
def test_a_device_that_can(precision: Precision, dtype: torch.dtype) -> None:
    assert compute_dtype(precision, CPU) is dtype


@pytest.mark.parametrize(("precision", "lacking"), [(Precision.BF16, DataType.BF16), (Precision.FP16, DataType.F16)])
@pytest.mark.parametrize("operation", ["linear", "scaled_dot_product_attention", "layer_norm", "conv2d"])
def test_a_device_that_lacks_one_layer_cannot(
    monkeypatch: pytest.MonkeyPatch, precision: Precision, lacking: DataType, operation: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("\"addmm_impl_cpu_\" not implemented for 'Half'")

    monkeypatch.setattr(torch.nn.functional, operation, fail)
    with pytest.raises(UnsupportedDTypeError, match="torch on cpu does not support") as caught:
        compute_dtype(precision, CPU)
    assert caught.value.dtype is lacking
    assert lacking not in caught.value.supported
    assert DataType.F32 in caught.value.supported
    assert compute_dtype(Precision.FP32, CPU) is torch.float32


def test_a_device_that_gives_no_numbers_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.functional, "linear", lambda rows, _: rows * float("nan"))
    with pytest.raises(UnsupportedDTypeError):
        compute_dtype(Precision.FP16, CPU)


def test_int8_is_no_type_to_cast_to() -> None:
    with pytest.raises(UnsupportedDTypeError, match="data type int8; it supports f64, f32, f16, bf16") as caught:
        compute_dtype(Precision.INT8, CPU)
    assert caught.value.hint == "ask for another precision, or another device"
