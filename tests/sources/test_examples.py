"""Example inputs, and the errors for invalid ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from inferox.core import PackageError, UnsupportedDTypeError
from inferox.sources import open_source
from inferox.sources.examples import read_samples, to_tensors


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn])
def test_samples_of_a_data_type_that_numpy_lacks(dtype: torch.dtype, tmp_path: Path) -> None:
    save_file({"x": torch.zeros(2, 3).to(dtype)}, tmp_path / "inputs.safetensors")
    with pytest.raises(UnsupportedDTypeError):
        to_tensors(read_samples(tmp_path / "inputs.safetensors"))


def test_samples_come_from_safetensors(tmp_path: Path) -> None:
    values = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    save_file({"x": values}, tmp_path / "inputs.safetensors")
    assert torch.equal(to_tensors(read_samples(tmp_path / "inputs.safetensors"))["x"], values)


def test_sparse_example() -> None:
    with pytest.raises(PackageError, match=r"'x' is sparse, but must be dense"):
        to_tensors({"x": torch.eye(3).to_sparse()})


def test_empty_example() -> None:
    with pytest.raises(PackageError, match=r"'input' is empty: its shape is \[0, 3\]"):
        open_source(lambda: (torch.nn.Identity(), {"input": np.zeros((0, 3), np.float32)}))
