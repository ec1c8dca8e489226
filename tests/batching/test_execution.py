"""Rows through a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferox.batching import Row, packed_signature, run_batches
from inferox.core import (
    BATCH,
    SEQUENCE,
    ConfigError,
    DataType,
    Layout,
    Model,
    RequestError,
    ShapeMismatchError,
    Signature,
    TensorSpec,
)
from tests.tasks.models import FunctionModel

from .models import Arrays, floats, ids, mask, row

PAD_VALUES = {"ids": 0, "mask": 0}
OUTPUTS = (floats("vectors", BATCH, SEQUENCE, 1), floats("total", BATCH, 1))


def add_up(inputs: Arrays) -> Arrays:
    """Doubles each id, and adds up the ids that the mask keeps."""
    kept = (inputs["ids"] * inputs["mask"]).astype(np.float32)
    return {"vectors": 2 * kept[..., None], "total": kept.sum(axis=1, keepdims=True)}


def adding_model(*, rows: int | str = BATCH) -> FunctionModel:
    outputs = tuple(TensorSpec(spec.name, spec.dtype, (rows, *spec.dims[1:])) for spec in OUTPUTS)
    return FunctionModel(Signature((ids(rows, SEQUENCE), mask(rows, SEQUENCE)), outputs), add_up)


def run_all(model: Model, rows: Sequence[Row], **limits: Any) -> list[Arrays]:
    """The outputs of every row in their order, each of which must come once."""
    found: dict[int, Arrays] = {}
    for indices, outputs in run_batches(model, rows, **limits):
        for index, output in zip(indices, outputs, strict=True):
            assert index not in found
            found[index] = output
    return [found[index] for index in range(len(rows))]


def check(lengths: Sequence[int], results: Sequence[Arrays]) -> None:
    assert len(results) == len(lengths)
    for index, (length, result) in enumerate(zip(lengths, results, strict=True)):
        numbers = np.arange(index, index + length, dtype=np.float32)
        np.testing.assert_array_equal(result["vectors"], 2 * numbers[:, None])
        np.testing.assert_array_equal(result["total"], [numbers.sum()])


@settings(max_examples=50)
@given(lengths=st.lists(st.integers(1, 30), max_size=25), max_tokens=st.integers(1, 100), max_rows=st.integers(1, 9))
def test_results_come_in_the_order_of_the_rows(lengths: list[int], max_tokens: int, max_rows: int) -> None:
    rows = [row(length, start=index) for index, length in enumerate(lengths)]
    model = adding_model()

    results = run_all(model, rows, pad_values=PAD_VALUES, max_tokens=max_tokens, max_rows=max_rows)

    check(lengths, results)
    assert all(count <= max_rows and (count == 1 or count * longest <= max_tokens) for count, longest in model.shapes)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7])
def test_a_model_with_a_fixed_number_of_rows_gets_just_as_many(count: int) -> None:
    lengths = [5, 2, 9, 1, 1, 3, 8][:count]
    model = adding_model(rows=3)

    results = run_all(model, [row(length, start=index) for index, length in enumerate(lengths)], pad_values=PAD_VALUES)

    check(lengths, results)
    assert all(shape[0] == 3 for shape in model.shapes)
    assert len(model.shapes) == -(-count // 3)


@pytest.mark.parametrize(("rows", "max_tokens"), [(3, 1), (3, 10), (3, 1024), (32, 1024)])
def test_a_fixed_number_of_rows_is_filled_whatever_the_limit_of_tokens(rows: int, max_tokens: int) -> None:
    """A batch that is not full costs as much as one that is."""
    model = adding_model(rows=rows)
    lengths = [200] * (2 * rows)

    results = run_all(
        model,
        [row(length, start=index) for index, length in enumerate(lengths)],
        pad_values=PAD_VALUES,
        max_tokens=max_tokens,
    )

    check(lengths, results)
    assert model.shapes == [(rows, 200)] * 2


def test_extents_that_are_never_padded_are_no_tokens() -> None:
    """The height and width of images may have names, and their rows have no tokens to be counted."""
    image = TensorSpec("image", DataType.F32, (BATCH, 3, "height", "width"))
    signature = Signature((image,), (floats("total", BATCH),))
    model = FunctionModel(signature, lambda inputs: {"total": inputs["image"].sum(axis=(1, 2, 3))})
    rows = [{"image": np.full((3, 224, 224), index, np.float32)} for index in range(32)]

    batches = [indices for indices, _ in run_batches(model, rows, pad_values={}, max_rows=16)]

    assert [len(indices) for indices in batches] == [16, 16]


def test_rows_that_differ_in_what_is_not_padded_never_share_a_batch() -> None:
    image = floats("image", BATCH, "height", "width")
    model = FunctionModel(
        Signature((image,), (floats("mean", BATCH),)), lambda inputs: {"mean": inputs["image"].mean(axis=(1, 2))}
    )
    shapes = [(2, 3), (4, 4), (2, 3), (3, 2)]
    rows = [{"image": np.full(shape, index, dtype=np.float32)} for index, shape in enumerate(shapes)]

    results = run_all(model, rows, pad_values={})

    assert [float(result["mean"]) for result in results] == [0, 1, 2, 3]
    assert sorted(model.shapes) == [(1, 3, 2), (1, 4, 4), (2, 2, 3)]


def test_batches_are_computed_one_at_a_time() -> None:
    model = adding_model()
    batches = run_batches(model, [row(1), row(2), row(3)], pad_values=PAD_VALUES, max_rows=1)

    assert next(batches)[0] == [0]
    assert len(model.shapes) == 1


@pytest.mark.parametrize(
    "signature",
    [
        Signature((ids(),), (floats("loss"),)),
        Signature((ids(), mask(2, SEQUENCE)), (floats("total", BATCH),)),
        Signature((TensorSpec("ids", DataType.I64, ("time", SEQUENCE)),), (floats("total", "time"),)),
    ],
)
def test_a_model_without_rows_is_refused(signature: Signature) -> None:
    with pytest.raises(ConfigError, match="no batch dim that all its inputs and outputs share"):
        next(run_batches(FunctionModel(signature, add_up), [row(1)], pad_values=PAD_VALUES))


def test_a_bad_row_is_refused_before_anything_is_computed() -> None:
    model = adding_model()

    with pytest.raises(ShapeMismatchError):
        next(
            run_batches(
                model, [row(1), {**row(2), "mask": np.ones(3, dtype=np.int64)}], pad_values=PAD_VALUES, max_rows=1
            )
        )
    assert model.shapes == []


TEXT = Signature(
    tuple(TensorSpec(name, DataType.I64, (BATCH, SEQUENCE)) for name in ("input_ids", "attention_mask")),
    (floats("vectors", BATCH, SEQUENCE, 1), floats("total", BATCH)),
)
TEXT_FILL = {"input_ids": 0, "attention_mask": 0}


def add_up_text(inputs: Arrays) -> Arrays:
    """Each token's number plus the sum of those that its row shows, and that sum."""
    total = (inputs["input_ids"] * (inputs["attention_mask"] != 0)).sum(axis=1).astype(np.float32)
    return {"vectors": (inputs["input_ids"] + total[:, None]).astype(np.float32)[..., None], "total": total}


def add_up_packed(inputs: Arrays) -> Arrays:
    """The same for rows end to end."""
    pad_indices, tokens = inputs["pad_indices"], inputs["input_ids"]
    total = (np.where(pad_indices >= 0, tokens[pad_indices.clip(0)], 0)).sum(axis=1).astype(np.float32)
    of_token = total[inputs["unpad_indices"] // pad_indices.shape[1]]
    return {"vectors": (tokens + of_token).astype(np.float32)[:, None], "total": total}


class PaddedFront(FunctionModel):
    """A model with a padded signature whose batches another one computes packed."""

    def __init__(self, signature: Signature) -> None:
        super().__init__(signature, add_up_text)
        self.packed = FunctionModel(packed_signature(signature), add_up_packed, Layout.PACKED)

    @property
    def inner(self) -> Model:
        return self.packed


def text_row(mask_: Sequence[int], start: int = 1) -> Arrays:
    shown = np.array(mask_, dtype=np.int64)
    return {"input_ids": np.arange(start, start + len(shown), dtype=np.int64), "attention_mask": shown}


@given(masks=st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=6).filter(any), min_size=1, max_size=6))
def test_a_rows_own_mask_holds_packed_as_it_does_padded(masks: list[list[int]]) -> None:
    rows = [text_row(each, start=index) for index, each in enumerate(masks)]

    padded = run_all(FunctionModel(TEXT, add_up_text), rows, pad_values=TEXT_FILL)
    packed = run_all(PaddedFront(TEXT), rows, pad_values=TEXT_FILL)

    for each, expected, found in zip(masks, padded, packed, strict=True):
        assert found["vectors"].shape == expected["vectors"].shape == (len(each), 1)
        np.testing.assert_array_equal(found["vectors"], expected["vectors"] * np.array(each)[:, None])
        np.testing.assert_array_equal(found["total"], expected["total"])


@pytest.mark.parametrize("masks", [[[0, 0]], [[0, 0], [1, 1, 0]], [[0], [0, 0]]])
def test_a_row_that_shows_no_token(masks: list[list[int]]) -> None:
    rows = [text_row(each) for each in masks]
    tokens_alone = Signature(TEXT.inputs, TEXT.outputs[:1])

    found = run_all(PaddedFront(tokens_alone), rows, pad_values=TEXT_FILL)

    for each, output in zip(masks, found, strict=True):
        assert output["vectors"].shape == (len(each), 1)
        np.testing.assert_array_equal(output["vectors"][np.array(each) == 0], 0)
    with pytest.raises(RequestError, match="the attention_mask of row 0 is all zeros"):
        run_all(PaddedFront(TEXT), rows, pad_values=TEXT_FILL)


@pytest.mark.parametrize("model", [FunctionModel(TEXT, add_up_text), PaddedFront(TEXT)], ids=["padded", "packed"])
def test_an_empty_row_is_named_before_anything_is_computed(model: FunctionModel) -> None:
    rows = [text_row([1, 1]), text_row([1]), text_row([]), text_row([1])]

    with pytest.raises(ShapeMismatchError, match=r"row 2 must have the shape \[seq >= 1\], and has \[0\]"):
        next(run_batches(model, rows, pad_values=TEXT_FILL, max_rows=1))
    assert model.shapes == [] == getattr(model, "packed", model).shapes
