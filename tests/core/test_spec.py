"""Signatures: what matches, what does not, and what the error says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.backends.host import HostTensor
from inferox.core import (
    DataType,
    DTypeMismatchError,
    InputTooLongError,
    ManifestError,
    RequestError,
    ShapeMismatchError,
    Signature,
    TensorSpec,
    UnknownInputError,
    UnsupportedDTypeError,
)

TEXT = Signature(
    inputs=(
        TensorSpec("input_ids", DataType.I64, ("batch", "seq")),
        TensorSpec("attention_mask", DataType.I64, ("batch", "seq")),
    ),
    outputs=(TensorSpec("last_hidden_state", DataType.F32, ("batch", "seq", 384)),),
)


def ids(*shape: int, dtype: Any = np.int64) -> np.ndarray:
    return np.zeros(shape, dtype=dtype)


def test_inputs_that_fit_bind_the_named_dims() -> None:
    assert TEXT.check_inputs({"input_ids": ids(2, 7), "attention_mask": ids(2, 7)}) == {"batch": 2, "seq": 7}


def test_missing_and_unknown_inputs_are_named() -> None:
    with pytest.raises(UnknownInputError) as caught:
        TEXT.check_inputs({"input_ids": ids(1, 1), "mask": ids(1, 1)})
    assert caught.value.missing == ("attention_mask",)
    assert caught.value.unexpected == ("mask",)
    assert "input_ids, attention_mask" in str(caught.value)


def test_a_wrong_type_is_refused_and_not_converted() -> None:
    with pytest.raises(
        DTypeMismatchError,
        match=r"'input_ids' must .* i64, but has i32 \(convert it.*astype\('int64'\)",
    ):
        TEXT.check_inputs({"input_ids": ids(1, 1, dtype=np.int32), "attention_mask": ids(1, 1)})


def test_a_type_that_is_none_of_the_ten() -> None:
    with pytest.raises(UnsupportedDTypeError, match="complex64"):
        TEXT.check_inputs({"input_ids": ids(1, 1, dtype=np.complex64), "attention_mask": ids(1, 1)})


def test_two_inputs_that_disagree_about_a_dim() -> None:
    with pytest.raises(ShapeMismatchError, match="seq is 7 in another input"):
        TEXT.check_inputs({"input_ids": ids(2, 7), "attention_mask": ids(2, 8)})


def test_a_wrong_rank() -> None:
    with pytest.raises(ShapeMismatchError, match=r"\[batch, seq\], but has \[7\]"):
        TEXT.check_inputs({"input_ids": ids(7), "attention_mask": ids(2, 7)})


def test_a_fixed_dim_is_fixed() -> None:
    image = Signature((TensorSpec("pixel_values", DataType.F32, ("batch", 3, 8, 8)),), ())
    image.check_inputs({"pixel_values": np.zeros((5, 3, 8, 8), np.float32)})
    with pytest.raises(ShapeMismatchError):
        image.check_inputs({"pixel_values": np.zeros((5, 4, 8, 8), np.float32)})


@given(
    dtype=st.sampled_from([np.int8, np.int16, np.int32, np.int64, np.uint8, np.float32]),
    numbers=st.lists(st.integers(-128, 127), min_size=1),
    upper_bound=st.integers(1, 2**63),
)
def test_every_index_is_at_least_0_and_below_the_bound(dtype: Any, numbers: list[int], upper_bound: int) -> None:
    array = np.array(numbers).astype(dtype)
    spec = TensorSpec("input_ids", DataType.I64, ("tokens",), upper_bound=upper_bound)
    if all(0 <= number < upper_bound for number in array.tolist()):
        spec.check_indices(array)
    else:
        with pytest.raises(RequestError, match="must hold numbers from 0"):
            spec.check_indices(array)


LIMITED = Signature((TensorSpec("input_ids", DataType.I64, ("batch", "seq"), upper_bound=100),), (), {"seq": 5})


@pytest.mark.parametrize("wrong", [-1, 100, 2**40, -(2**63)])
def test_an_index_out_of_range(wrong: int) -> None:
    LIMITED.check_inputs({"input_ids": np.array([[0, 99]])})
    LIMITED.check_inputs({"input_ids": ids(0, 3)})
    for make in (lambda array: array, lambda array: HostTensor(array, "any")):
        with pytest.raises(RequestError, match=f"'input_ids' must hold numbers from 0 to 99, but holds {wrong}"):
            LIMITED.check_inputs({"input_ids": make(np.array([[5, 1], [wrong, -7]]))})


def test_a_row_that_is_too_long() -> None:
    LIMITED.check_inputs({"input_ids": ids(2, 5)})
    with pytest.raises(InputTooLongError, match="an input has 6 tokens, but the model takes 5 at most"):
        LIMITED.check_inputs({"input_ids": ids(2, 6)})
    with pytest.raises(InputTooLongError, match="an input has 8 rows, but the model takes 7 at most"):
        Signature(LIMITED.inputs, (), {"batch": 7}).check_inputs({"input_ids": ids(8, 6)})


def test_limits_outlast_dims_that_become_fixed() -> None:
    fixed = LIMITED.fixed({"batch": 3})
    assert fixed.inputs[0] == TensorSpec("input_ids", DataType.I64, (3, "seq"), upper_bound=100)
    assert fixed.limits == {"seq": 5}


@given(st.lists(st.integers(0, 9), max_size=4), st.integers(0, 9))
def test_the_shapes_that_a_specification_allows(shape: list[int], batch: int) -> None:
    spec = TensorSpec("x", DataType.F32, ("batch", "other", 3))
    allowed = len(shape) == 3 and shape[0] == batch and shape[2] == 3
    assert spec.allows(shape, {"batch": batch}) is allowed


NAMES = st.text(min_size=1, max_size=8).filter(str.isprintable)
DIMS = st.lists(st.one_of(st.integers(0, 2**31 - 1), NAMES), max_size=5).map(tuple)
SPECS = st.lists(
    st.builds(
        TensorSpec,
        NAMES,
        st.sampled_from(DataType),
        DIMS,
        st.one_of(st.none(), st.integers(1, 2**40)),
    ),
    max_size=4,
    unique_by=lambda s: s.name,
)


@given(SPECS, SPECS, st.dictionaries(NAMES, st.integers(1, 2**40), max_size=3))
def test_a_signature_reads_back_from_json(
    inputs: list[TensorSpec], outputs: list[TensorSpec], limits: dict[str, int]
) -> None:
    signature = Signature(tuple(inputs), tuple(outputs), limits)
    assert Signature.from_json(signature.to_json()) == signature


SPEC = {"name": "x", "dtype": "f32", "dims": ["batch", 3]}


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"inputs": [SPEC]},
        {"inputs": [SPEC], "outputs": {}},
        {"inputs": [{**SPEC, "dtype": "float32"}], "outputs": []},
        {"inputs": [{**SPEC, "dims": [-1]}], "outputs": []},
        {"inputs": [{**SPEC, "dims": [True]}], "outputs": []},
        {"inputs": [{**SPEC, "dims": [""]}], "outputs": []},
        {"inputs": [{**SPEC, "dims": 3}], "outputs": []},
        {"inputs": [{**SPEC, "name": 3}], "outputs": []},
        {"inputs": [{"name": "x"}], "outputs": []},
        {"inputs": [SPEC, SPEC], "outputs": []},
        {"inputs": ["x"], "outputs": []},
        {"inputs": [{**SPEC, "upper_bound": 0}], "outputs": []},
        {"inputs": [{**SPEC, "upper_bound": "9"}], "outputs": []},
        {"inputs": [SPEC], "outputs": [], "limits": {"batch": 0}},
        {"inputs": [SPEC], "outputs": [], "limits": {"batch": True}},
        {"inputs": [SPEC], "outputs": [], "limits": ["batch"]},
    ],
)
def test_a_malformed_signature_is_refused(data: Any) -> None:
    with pytest.raises(ManifestError):
        Signature.from_json(data)
