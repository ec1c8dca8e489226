"""Values that callers give instead of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from inferox.backends.host import HostTensorBuilder
from inferox.core import DataType, RequestError, Signature, Tensor, TensorSpec, UnknownInputError
from inferox.core.given import read_inputs

SIGNATURE = Signature((TensorSpec("x", DataType.F32, ("batch", 2)),), ())
ONES = np.ones((1, 2), np.int64)


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


@pytest.mark.parametrize(
    ("dims", "mask_type", "given", "missing"),
    [
        (("batch", "seq"), DataType.I64, (), ("x",)),
        (("batch", "seq"), DataType.I64, ("attention_mask", "token_type_ids"), ("x",)),
        (("batch", "seq"), DataType.F32, (), ("x", "attention_mask")),
        (("batch", "seq", 4), DataType.I64, (), ("x", "attention_mask")),  # the types have the mask's shape
        (("batch", "seq", 4), DataType.I64, ("x", "token_type_ids"), ()),
        (("batch", "seq", 4), DataType.I64, ("x",), ("attention_mask",)),
    ],
)
def test_only_inputs_without_a_default_are_missing(
    dims: tuple[str | int, ...], mask_type: DataType, given: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    arrays = {"x": np.zeros((1, 2, 4)[: len(dims)]), **dict.fromkeys(("attention_mask", "token_type_ids"), ONES)}
    signature = Signature(
        (
            TensorSpec("x", DataType.F64, dims),
            TensorSpec("token_type_ids", DataType.I64, ("batch", "seq")),
            TensorSpec("attention_mask", mask_type, ("batch", "seq")),
        ),
        (),
    )
    builder = HostTensorBuilder("numpy")

    if missing:
        with pytest.raises(UnknownInputError) as caught:
            read_inputs({name: arrays[name] for name in given}, signature, builder)
        assert caught.value.missing == missing
    else:
        assert set(read_inputs({name: arrays[name] for name in given}, signature, builder)) == set(arrays)
