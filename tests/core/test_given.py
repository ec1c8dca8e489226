"""Values that callers give instead of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from inferox.backends.host import HostTensorBuilder
from inferox.core import DataType, RequestError, Signature, Tensor, TensorSpec
from inferox.core.given import read_inputs

SIGNATURE = Signature((TensorSpec("x", DataType.F32, ("batch", 2)),), ())


def read(given: Any) -> np.ndarray[Any, Any]:
    found = read_inputs({"x": given}, SIGNATURE, HostTensorBuilder("numpy"))["x"]
    assert isinstance(found, Tensor)
    return found.numpy()


@pytest.mark.parametrize("needs_gradients", [False, True])
def test_tensors_and_lists_of_them_are_read_whether_they_record_gradients_or_not(needs_gradients: bool) -> None:
    def tensor(*numbers: float) -> torch.Tensor:
        return torch.tensor(numbers, dtype=torch.float32, requires_grad=needs_gradients)

    whole = torch.stack([tensor(1, 2), tensor(3, 4)])
    assert whole.requires_grad == needs_gradients
    for given in (
        whole,
        [tensor(1, 2), tensor(3, 4)],
        (tensor(1, 2), [3, 4]),
        [[tensor(1)[0], 2], [3.0, tensor(4)[0]]],
    ):
        np.testing.assert_array_equal(read(given), np.array([[1, 2], [3, 4]], np.float32))


def test_masked_elements_are_refused_as_a_tensor_has_none() -> None:
    with pytest.raises(RequestError, match=r"input .x. is a masked array"):
        read(np.ma.masked_invalid(np.array([[1, np.nan]], np.float32)))


def test_what_cannot_become_an_array_is_refused_by_its_name() -> None:
    with pytest.raises(RequestError, match=r"input .x. must hold numbers: .*give one tensor"):
        read([torch.ones(2, device="meta")])
