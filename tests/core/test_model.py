"""Models of either layout, called with batches and with padded tensors."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.backends.host import HostTensor, HostTensorBuilder
from inferox.core import (
    BATCH,
    MASK,
    SEQUENCE,
    Batch,
    BatchLimits,
    ConfigError,
    DataType,
    Layout,
    LoadError,
    RequestError,
    ShapeMismatchError,
    Signature,
    TensorSpec,
    packed_signature,
)
from tests.tasks.models import FunctionModel

from .batches import ATTENDED, IDS, Arrays, floats, make_batch

SIGNATURE = Signature((IDS, ATTENDED), (floats("vectors", BATCH, SEQUENCE, 1), floats("total", BATCH)))


def compute_padded(inputs: Arrays) -> Arrays:
    """Doubles each token, and adds up those of each row."""
    kept = (inputs["input_ids"] * inputs[MASK]).astype(np.float32)
    return {"vectors": 2 * kept[..., None], "total": kept.sum(axis=1)}


def compute_packed(inputs: Arrays) -> Arrays:
    """The same for tokens that lie end to end."""
    tokens, pad_indices = inputs["input_ids"].astype(np.float32), inputs["pad_indices"]
    assert len(inputs["unpad_indices"]) == len(tokens)
    return {"vectors": 2 * tokens[:, None], "total": np.where(pad_indices >= 0, tokens[pad_indices], 0).sum(axis=1)}


def make_model(layout: Layout, signature: Signature = SIGNATURE) -> FunctionModel:
    compute = compute_padded if layout is Layout.PADDED else compute_packed
    return FunctionModel(
        signature if layout is Layout.PADDED else packed_signature(signature),
        lambda inputs: {name: value for name, value in compute(inputs).items() if name in signature.output_names},
        layout,
    )


def make_inputs(mask: list[list[int]]) -> Arrays:
    kept = np.array(mask, dtype=np.int64)
    return {"input_ids": np.arange(1, kept.size + 1).reshape(kept.shape) * kept, MASK: kept}


def forward(model: FunctionModel, inputs: Arrays) -> Arrays:
    return {name: value.numpy() for name, value in model.forward(inputs).items()}


@pytest.mark.parametrize("layout", list(Layout))
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=7), seed=st.integers(0, 99))
def test_a_batch_is_computed_in_either_layout(layout: Layout, lengths: list[int], seed: int) -> None:
    batch = make_batch(lengths, seed)

    outputs = make_model(layout).compute(batch)

    np.testing.assert_array_equal(outputs.of_tokens("vectors")[:, 0], 2 * batch.ragged["input_ids"])
    assert outputs.of_rows("total").tolist() == [row["input_ids"].sum() for row in batch]


@pytest.mark.parametrize("layout", list(Layout))
def test_callers_see_the_padded_signature(layout: Layout) -> None:
    assert make_model(layout).signature == SIGNATURE


@given(lengths=st.lists(st.integers(0, 5), max_size=5), extra=st.integers(0, 2))
def test_padded_tensors_are_computed_alike_in_either_layout(lengths: list[int], extra: int) -> None:
    longest = max(lengths, default=0) + extra
    inputs = {
        name: array.reshape(len(lengths), longest)
        for name, array in make_inputs([[1] * length + [0] * (longest - length) for length in lengths]).items()
    }
    signature = SIGNATURE
    if not all(lengths):
        row = lengths.index(0)
        said = f"row {row} is all zeros" if longest else "row 0 has no tokens"
        for layout in Layout:
            with pytest.raises(RequestError, match=f"{said}, and the model has row-level outputs"):
                make_model(layout).forward(inputs)
        signature = Signature(SIGNATURE.inputs, SIGNATURE.outputs[:1])
    found, expected = (forward(make_model(layout, signature), inputs) for layout in (Layout.PACKED, Layout.PADDED))
    assert list(found) == list(expected) == list(signature.output_names)
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name])


def test_a_packed_model_refuses_a_mask_with_holes() -> None:
    inputs = make_inputs([[1, 1], [0, 1]])
    assert forward(make_model(Layout.PADDED), inputs)["total"].tolist() == [3, 4]
    with pytest.raises(RequestError, match="row 1 is not ones followed by zeros") as caught:
        make_model(Layout.PACKED).forward(inputs)
    assert "padded layout" in str(caught.value.hint)


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("length", [0, 5])
def test_no_rows_have_an_answer_in_either_layout_without_the_runtime(layout: Layout, length: int) -> None:
    model = make_model(layout)
    found = forward(model, {name: np.zeros((0, length), np.int64) for name in ("input_ids", MASK)})
    assert {name: array.shape for name, array in found.items()} == {"vectors": (0, length, 1), "total": (0,)}
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
    assert model.shapes == []


def test_a_dim_that_only_rows_would_determine_is_0_without_them() -> None:
    outputs = (floats("boxes", BATCH, "box", 4), floats("labels", BATCH, "height"))
    pixels = Signature((floats("pixels", BATCH, 3, "height", "width"),), outputs)
    model = FunctionModel(pixels, lambda _: {})
    found = forward(model, {"pixels": np.zeros((0, 3, 7, 9), np.float32)})
    assert {name: array.shape for name, array in found.items()} == {"boxes": (0, 0, 4), "labels": (0, 7)}
    assert model.shapes == []


@pytest.mark.parametrize("output", [floats("total"), floats("total", 1), floats("total", "found", 1)])
def test_an_output_that_may_have_elements_without_rows_is_computed(output: TensorSpec) -> None:
    shape = (1,) * len(output.dims)
    model = FunctionModel(Signature((IDS,), (output,)), lambda _: {"total": np.zeros(shape, np.float32)})
    assert forward(model, {"input_ids": np.zeros((0, 5), np.int64)})["total"].shape == shape
    assert model.shapes == [(0, 5)]


def test_masks_of_which_it_is_not_known_that_zeros_mean_no_tokens_are_passed_on() -> None:
    """A mask may be added to scores, or belong to a fixed number of rows, some of which only fill it up."""
    total = (floats("total", BATCH),)
    others = [
        Signature((IDS, floats(MASK, BATCH, SEQUENCE)), total),
        Signature((IDS, ATTENDED, floats("weights", BATCH)), total),
        Signature((replace(IDS, dims=(2, SEQUENCE)), replace(ATTENDED, dims=(2, SEQUENCE))), (floats("total", 2),)),
    ]
    for signature in others:
        model = FunctionModel(signature, lambda inputs: {"total": inputs["input_ids"].sum(axis=1, dtype=np.float32)})
        zeros = [np.zeros((2, 3)[: len(spec.dims)], spec.dtype.numpy_dtype) for spec in signature.inputs]
        assert model(*zeros)["total"].numpy().tolist() == [0, 0]


@pytest.mark.parametrize("layout", list(Layout))
def test_tensors_of_a_backend_are_taken_and_shapes_are_checked(layout: Layout) -> None:
    model, builder = make_model(layout), HostTensorBuilder("numpy")
    inputs = make_inputs([[1, 1], [1, 0]])
    outputs = model.forward({name: builder.from_numpy(array) for name, array in inputs.items()})
    assert outputs["total"].numpy().tolist() == [3, 3]
    with pytest.raises(ShapeMismatchError):
        model.forward({**inputs, MASK: np.ones((2, 3), np.int64)})


def test_the_answers_of_a_packed_model_lie_on_its_device() -> None:
    """A third-party backend may only have tensors on its own accelerator."""
    model = make_model(Layout.PACKED)
    model._builder = HostTensorBuilder("npu")
    outputs = model.forward(make_inputs([[1, 1], [1, 0]]))
    assert {type(value) for value in outputs.values()} == {HostTensor}
    assert {value._backend for value in outputs.values() if isinstance(value, HostTensor)} == {"npu"}


@pytest.mark.parametrize("count", [1, 3, 4])
def test_a_fixed_number_of_rows_is_filled_up(count: int) -> None:
    specs = [TensorSpec(spec.name, spec.dtype, (4, *spec.dims[1:])) for spec in (*SIGNATURE.inputs, *SIGNATURE.outputs)]
    model = FunctionModel(Signature(tuple(specs[:2]), tuple(specs[2:])), compute_padded)
    batch = make_batch([2, 3, 1, 2][:count])

    outputs = model.compute(batch)

    assert outputs.of_rows("total").tolist() == [row["input_ids"].sum() for row in batch]
    assert model.shapes == [(4, max(batch.lengths))]
    assert model.limits == BatchLimits(rows=4, is_fixed=True)


def test_the_limits_of_a_model() -> None:
    assert make_model(Layout.PACKED).limits == BatchLimits()
    limited = make_model(Layout.PADDED, Signature(SIGNATURE.inputs, SIGNATURE.outputs, {SEQUENCE: 7}))
    assert limited.limits == BatchLimits(tokens_per_row=7)
    limited.note_invariance(False)
    assert limited.limits == BatchLimits(rows=1, tokens_per_row=7)


@pytest.mark.parametrize(
    "signature",
    [
        Signature((IDS,), (floats("loss"),)),
        Signature((IDS, replace(ATTENDED, dims=(2, SEQUENCE))), (floats("total", BATCH),)),
        Signature((TensorSpec("ids", DataType.I64, ("time", SEQUENCE)),), (floats("total", "time"),)),
    ],
)
def test_a_model_without_rows_has_no_limits(signature: Signature) -> None:
    with pytest.raises(ConfigError, match="no batch dim that all its inputs and outputs share"):
        _ = FunctionModel(signature, compute_padded).limits


def test_a_signature_that_is_not_of_the_packed_layout_is_refused() -> None:
    packed = packed_signature(SIGNATURE)
    narrow = [replace(spec, dtype=DataType.I32) if spec.name == "pad_indices" else spec for spec in packed.inputs]
    for inputs in (packed.inputs[:1], packed.inputs[:2], tuple(narrow), (*packed.inputs, ATTENDED)):
        with pytest.raises(LoadError, match="states a signature that is not of the packed layout"):
            FunctionModel(Signature(inputs, packed.outputs), compute_packed, Layout.PACKED)


def test_inputs_that_disagree_about_a_dim_are_refused() -> None:
    signature = Signature((floats("a", BATCH, "k"), floats("b", BATCH, "k")), (floats("total", BATCH),))
    model = FunctionModel(signature, lambda inputs: {"total": inputs["a"][:, 0]})
    with pytest.raises(ShapeMismatchError, match="k is 3 in another input"):
        model.compute(Batch.of_rows({"a": np.zeros((2, 3), np.float32), "b": np.zeros((2, 4), np.float32)}))
    assert model.shapes == []


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_more_calls_compute_at_once_than_the_model_allows(most: int) -> None:
    computing, seen, lock = 0, 0, threading.Lock()
    together = threading.Barrier(most, timeout=30)

    def compute(inputs: Arrays) -> Arrays:
        nonlocal computing, seen
        with lock:
            computing += 1
            seen = max(seen, computing)
        together.wait()
        with lock:
            computing -= 1
        return compute_padded(inputs)

    model = FunctionModel(SIGNATURE, compute, max_concurrency=most)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(model.compute, [make_batch([3])] * 6))
    assert seen == most
    assert all(outputs.of_rows("total").tolist() == [6] for outputs in found)


def test_a_call_that_fails_gives_its_turn_back() -> None:
    def fail(_: Arrays) -> Any:
        raise ValueError("no")

    model = FunctionModel(SIGNATURE, fail)
    for _ in range(3):
        with pytest.raises(Exception, match="ValueError"):
            model.compute(make_batch([1]))
