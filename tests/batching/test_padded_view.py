"""A loaded artifact of either layout behind the padded signature."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.backends.host import HostTensorBuilder
from inferox.batching import PaddedView, packed_signature, run_batches
from inferox.core import (
    BATCH,
    SEQUENCE,
    DataType,
    DeviceId,
    Layout,
    MemoryRequirements,
    RequestError,
    ShapeMismatchError,
    Signature,
    TensorSpec,
)
from inferox.testing.numpy_backend import NumpyBackend
from tests.tasks.models import FunctionModel

from .models import Arrays, floats

IDS = TensorSpec("input_ids", DataType.I64, (BATCH, SEQUENCE))
MASK = TensorSpec("attention_mask", DataType.I64, (BATCH, SEQUENCE))
SIGNATURE = Signature((IDS, MASK), (floats("vectors", BATCH, SEQUENCE, 1), floats("total", BATCH)))
PAD_VALUES = {"input_ids": 0, "attention_mask": 0}


def compute_padded(inputs: Arrays) -> Arrays:
    """Doubles each token, and adds up those of a row."""
    kept = (inputs["input_ids"] * inputs["attention_mask"]).astype(np.float32)
    return {"vectors": 2 * kept[..., None], "total": kept.sum(axis=1)}


def compute_packed(inputs: Arrays) -> Arrays:
    """The same for tokens that lie end to end."""
    tokens, pad_indices = inputs["input_ids"].astype(np.float32), inputs["pad_indices"]
    assert len(inputs["unpad_indices"]) == len(tokens)
    return {"vectors": 2 * tokens[:, None], "total": np.where(pad_indices >= 0, tokens[pad_indices], 0).sum(axis=1)}


class Part(FunctionModel):
    """A model in either layout that knows whether it was closed."""

    def __init__(self, layout: Layout) -> None:
        packed = layout is Layout.PACKED
        super().__init__(
            packed_signature(SIGNATURE) if packed else SIGNATURE, compute_packed if packed else compute_padded, layout
        )
        self._memory = MemoryRequirements(3 if packed else 4)
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def make_view(layout: Layout) -> tuple[PaddedView, Part]:
    part = Part(layout)
    return PaddedView(part, SIGNATURE, NumpyBackend()), part


def make_inputs(mask: list[list[int]]) -> Arrays:
    kept = np.array(mask, dtype=np.int64)
    return {"input_ids": np.arange(1, kept.size + 1).reshape(kept.shape) * kept, "attention_mask": kept}


def run(model: PaddedView, inputs: Arrays) -> Arrays:
    return {name: value.numpy() for name, value in model.forward(inputs).items()}


@given(
    mask=st.integers(1, 5).flatmap(
        lambda length: st.lists(st.lists(st.integers(0, 1), min_size=length, max_size=length), min_size=1, max_size=5)
    )
)
def test_a_packed_artifact_answers_as_a_padded_one_does(mask: list[list[int]]) -> None:
    packed, padded = make_view(Layout.PACKED)[0], make_view(Layout.PADDED)[0]
    inputs = make_inputs(mask)
    if not all(any(row) for row in mask):
        with pytest.raises(RequestError, match="is all zeros"):
            packed.forward(inputs)
        return
    found, expected = run(packed, inputs), run(padded, inputs)
    assert set(found) == {"vectors", "total"}
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def test_a_batch_of_nothing_but_padding_has_zeros_or_numbers_without_meaning() -> None:
    signature = Signature((IDS, MASK), (floats("vectors", BATCH, SEQUENCE, 1),))
    part = FunctionModel(
        packed_signature(signature), lambda inputs: {"vectors": compute_packed(inputs)["vectors"]}, Layout.PACKED
    )
    inputs = make_inputs([[0, 0, 0], [0, 0, 0]])
    found = run(PaddedView(part, signature, NumpyBackend()), inputs)["vectors"]
    assert found.shape == (2, 3, 1)
    assert not found[1].any()
    assert not inputs["attention_mask"].any()  # the caller's own


def test_callers_see_the_padded_signature_and_the_tensors_of_a_backend() -> None:
    model, _ = make_view(Layout.PACKED)
    assert model.signature == SIGNATURE
    inputs = make_inputs([[1, 1], [1, 0]])
    builder = NumpyBackend().tensor_builder()
    tensors = {name: builder.from_numpy(array) for name, array in inputs.items()}
    outputs = model.forward(tensors)
    assert outputs["vectors"].shape == (2, 2, 1)
    assert type(outputs["vectors"]) is type(tensors["input_ids"])
    with pytest.raises(ShapeMismatchError):
        model.forward({**inputs, "attention_mask": np.ones((2, 3), np.int64)})


@pytest.mark.parametrize("layout", list(Layout))
def test_no_rows_have_an_answer_in_either_layout(layout: Layout) -> None:
    found = run(make_view(layout)[0], {name: np.zeros((0, 5), np.int64) for name in ("input_ids", "attention_mask")})
    assert {name: array.shape for name, array in found.items()} == {"vectors": (0, 5, 1), "total": (0,)}
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("layout", list(Layout))
def test_answers_lie_on_the_device_of_the_artifact(layout: Layout) -> None:
    """A third party's backend may have no tensors but those of its own accelerator."""
    asked: list[DeviceId | None] = []

    class Accelerator(NumpyBackend):
        def tensor_builder(self, device: DeviceId | None = None) -> HostTensorBuilder:
            asked.append(device)
            assert device == DeviceId("npu", 1)
            return HostTensorBuilder("npu")

    part = Part(layout)
    part._metadata = replace(part.metadata, device=DeviceId("npu", 1))
    model = PaddedView(part, SIGNATURE, Accelerator())
    assert run(model, make_inputs([[1, 1], [1, 0]]))["total"].tolist() == [3.0, 3.0]
    assert asked == [DeviceId("npu", 1)] * (layout is Layout.PACKED)


@given(lengths=st.lists(st.integers(1, 9), max_size=12), max_rows=st.integers(1, 5), layout=st.sampled_from(Layout))
def test_rows_go_straight_to_the_layout_of_the_artifact(lengths: list[int], max_rows: int, layout: Layout) -> None:
    model, part = make_view(layout)
    rows = [{"input_ids": np.arange(1, length + 1), "attention_mask": np.ones(length, np.int64)} for length in lengths]
    seen = []
    for indices, outputs in run_batches(model, rows, pad_values=PAD_VALUES, max_rows=max_rows):
        for index, output in zip(indices, outputs, strict=True):
            seen.append(index)
            np.testing.assert_array_equal(output["vectors"][:, 0], 2 * rows[index]["input_ids"])
            assert output["total"] == rows[index]["input_ids"].sum()
    assert sorted(seen) == list(range(len(lengths)))
    assert {len(shape) for shape in part.shapes} <= {1 if layout is Layout.PACKED else 2}


@pytest.mark.parametrize("invariant", [True, False, None])
def test_it_is_what_its_artifact_is(invariant: bool | None) -> None:
    part = Part(Layout.PACKED)
    model = PaddedView(part, SIGNATURE, NumpyBackend(), batch_invariant=invariant)
    assert (model.name, model.metadata) == ("function", replace(part.metadata, batch_invariant=invariant))
    assert model.memory_requirements() == MemoryRequirements(3)
    assert model.inner is part
    model.close()
    assert part.closed == 1
