"""The computation of rows by a model."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferox.batching import run_batches
from inferox.core import (
    BATCH,
    MASK,
    SEQUENCE,
    Batch,
    ConfigError,
    DataType,
    Layout,
    Model,
    ShapeMismatchError,
    Signature,
    TensorSpec,
    UnknownInputError,
    packed_signature,
    stack_rows,
    to_cu_seqlens,
)
from tests.tasks.models import FunctionModel

from .models import Arrays, floats

PAD_VALUES = {"input_ids": 0}
OUTPUTS = (floats("vectors", BATCH, SEQUENCE, 1), floats("total", BATCH, 1))


def add_up(inputs: Arrays) -> Arrays:
    """Doubles each id, and adds up the ids that the mask keeps."""
    kept = (inputs["input_ids"] * inputs[MASK]).astype(np.float32)
    return {"vectors": 2 * kept[..., None], "total": kept.sum(axis=1, keepdims=True)}


def add_up_packed(inputs: Arrays) -> Arrays:
    """The same for rows end to end."""
    tokens, pad_indices = inputs["input_ids"].astype(np.float32), inputs["pad_indices"]
    total = np.where(pad_indices >= 0, tokens[pad_indices], 0).sum(axis=1, keepdims=True)
    return {"vectors": 2 * tokens[:, None], "total": total}


def adding_model(*, rows: int | str = BATCH, lanes: int = 1) -> FunctionModel:
    inputs = tuple(TensorSpec(name, DataType.I64, (rows, SEQUENCE)) for name in ("input_ids", MASK))
    outputs = tuple(TensorSpec(spec.name, spec.dtype, (rows, *spec.dims[1:])) for spec in OUTPUTS)
    return FunctionModel(Signature(inputs, outputs), add_up, max_concurrency=lanes)


def packed_model() -> FunctionModel:
    return FunctionModel(packed_signature(adding_model().signature), add_up_packed, Layout.PACKED)


def text_rows(lengths: Sequence[int]) -> Batch:
    """Makes rows of ids, each counting up from its own index."""
    ids = [np.arange(index, index + length, dtype=np.int64) for index, length in enumerate(lengths)]
    return Batch(
        {"input_ids": np.concatenate([np.empty(0, np.int64), *ids])},
        {},
        to_cu_seqlens(np.array(lengths, int)),
        PAD_VALUES,
    )


def run_all(model: Model, rows: Batch, **limits: Any) -> list[Arrays]:
    """Returns the outputs of every row in order, each of which must come once."""
    found: dict[int, Arrays] = {}
    for indices, batch, outputs in run_batches(model, rows, **limits):
        assert len(indices) == len(batch) == len(outputs)
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
    model = adding_model()

    check(lengths, run_all(model, text_rows(lengths), max_tokens=max_tokens, max_rows=max_rows))
    check(lengths, run_all(packed_model(), text_rows(lengths), max_tokens=max_tokens, max_rows=max_rows))

    assert all(count <= max_rows and (count == 1 or count * longest <= max_tokens) for count, longest in model.shapes)


def test_a_single_batch_has_the_rows_as_they_came() -> None:
    """Even if the order of lengths alone shows that one batch costs least."""
    model, lengths = adding_model(), [10, 41, 33, 50, 42, 45]

    check(lengths, run_all(model, text_rows(lengths)))

    assert len(model.shapes) == 1, model.shapes


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7])
def test_a_model_with_a_fixed_number_of_rows_gets_just_as_many(count: int) -> None:
    lengths = [5, 2, 9, 1, 1, 3, 8][:count]
    model = adding_model(rows=3)

    check(lengths, run_all(model, text_rows(lengths)))

    assert all(shape[0] == 3 for shape in model.shapes)
    assert len(model.shapes) == -(-count // 3)


@pytest.mark.parametrize(("rows", "max_tokens"), [(3, 1), (3, 10), (3, 1024), (32, 1024)])
def test_a_fixed_number_of_rows_is_filled_whatever_the_limit_of_tokens(rows: int, max_tokens: int) -> None:
    """A batch that is not full costs as much as one that is."""
    model = adding_model(rows=rows)
    lengths = [200] * (2 * rows)

    check(lengths, run_all(model, text_rows(lengths), max_tokens=max_tokens))

    assert model.shapes == [(rows, 200)] * 2


def test_extents_that_are_never_padded_are_no_tokens() -> None:
    """The height and width of images may have names, but their rows have no tokens to be counted."""
    image = TensorSpec("image", DataType.F32, (BATCH, 3, "height", "width"))
    signature = Signature((image,), (floats("total", BATCH),))
    model = FunctionModel(signature, lambda inputs: {"total": inputs["image"].sum(axis=(1, 2, 3))})
    rows = Batch.of_rows({"image": np.zeros((32, 3, 224, 224), np.float32)})

    assert [len(indices) for indices, _, _ in run_batches(model, rows, max_rows=16)] == [16, 16]


def test_rows_that_differ_in_what_is_not_padded_never_share_a_batch() -> None:
    image = floats("image", BATCH, "height", "width")
    model = FunctionModel(
        Signature((image,), (floats("mean", BATCH),)), lambda inputs: {"mean": inputs["image"].mean(axis=(1, 2))}
    )
    shapes = [(2, 3), (4, 4), (2, 3), (3, 2)]
    rows = Batch.of_rows(
        {"image": stack_rows([np.full(shape, index, np.float32) for index, shape in enumerate(shapes)])}
    )

    results = run_all(model, rows)

    assert [float(result["mean"]) for result in results] == [0, 1, 2, 3]
    assert sorted(model.shapes) == [(1, 3, 2), (1, 4, 4), (2, 2, 3)]


def test_rows_of_different_lengths_never_share_a_batch_that_cannot_be_padded() -> None:
    model = adding_model()
    lengths = [3, 1, 3, 2, 1]

    check(lengths, run_all(model, replace(text_rows(lengths), pad_values={})))

    assert sorted(model.shapes) == [(1, 2), (2, 1), (2, 3)]


def test_rows_of_a_model_that_depends_on_the_batch_are_computed_alone() -> None:
    model = adding_model()
    model.note_invariance(False)

    check([2, 2, 2], run_all(model, text_rows([2, 2, 2])))

    assert model.shapes == [(1, 2)] * 3


def test_batches_are_computed_one_at_a_time() -> None:
    model = adding_model()
    batches = run_batches(model, text_rows([1, 2, 3]), max_rows=1)

    assert next(batches)[0] == [0]
    assert len(model.shapes) == 1


def test_many_batches_are_computed_side_by_side_in_their_order() -> None:
    together = threading.Barrier(2, timeout=30)

    def compute(inputs: Arrays) -> Arrays:
        together.wait()  # each row needs another beside it
        return add_up(inputs)

    model = adding_model(lanes=2)
    model._function = compute
    lengths = [1 + index % 7 for index in range(64)]

    batches = list(run_batches(model, text_rows(lengths), max_rows=1))

    assert [indices for indices, _, _ in batches] == [[index] for index in sorted(range(64), key=lengths.__getitem__)]
    for (index,), _, outputs in batches:
        assert outputs.of_rows("total").tolist() == [[sum(range(index, index + lengths[index]))]]


def test_many_batches_that_nobody_waits_for_are_not_computed() -> None:
    model = adding_model(lanes=2)
    batches = run_batches(model, text_rows([1] * 200), max_rows=1)
    next(batches)
    batches.close()  # type: ignore[attr-defined] # a generator
    assert len(model.shapes) < 100


@pytest.mark.parametrize("bad", [0, 40, 63])
def test_a_failure_among_many_is_raised_in_its_place(bad: int) -> None:
    def compute(inputs: Arrays) -> Arrays:
        if inputs["input_ids"][0, 0] == bad:
            raise ValueError("this one")
        return add_up(inputs)

    model = adding_model(lanes=2)
    model._function = compute
    found: list[int] = []
    with pytest.raises(Exception, match="this one"):
        found.extend(indices[0] for indices, _, _ in run_batches(model, text_rows([1] * 64), max_rows=1))
    assert found == list(range(bad))


@pytest.mark.parametrize(
    "signature",
    [
        Signature((TensorSpec("input_ids", DataType.I64, (BATCH, SEQUENCE)),), (floats("loss"),)),
        Signature((TensorSpec("input_ids", DataType.I64, ("time", SEQUENCE)),), (floats("total", "time"),)),
    ],
)
def test_a_model_without_rows_is_refused(signature: Signature) -> None:
    with pytest.raises(ConfigError, match="no batch dim that all its inputs and outputs share"):
        next(run_batches(FunctionModel(signature, add_up), text_rows([1])))


@pytest.mark.parametrize("make_model", [adding_model, packed_model])
def test_a_bad_row_is_refused_before_anything_is_computed(make_model: Any) -> None:
    model = make_model()

    with pytest.raises(ShapeMismatchError, match="row 2 must have the shape"):
        next(run_batches(model, text_rows([2, 1, 0, 1]), max_rows=1))
    with pytest.raises(UnknownInputError, match="missing input_ids"):
        next(run_batches(model, Batch.of_rows({"pixels": np.zeros((1, 1))})))

    assert model.shapes == []
