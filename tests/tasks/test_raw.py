"""Named tensors through a model."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from inferox.core import (
    BATCH,
    SEQUENCE,
    ConfigError,
    DataType,
    DTypeMismatchError,
    RequestError,
    ShapeMismatchError,
    Signature,
    TensorSpec,
    UnknownInputError,
)
from inferox.tasks import RawTask

from .models import FunctionModel

SIGNATURE = Signature(
    (TensorSpec("x", DataType.F32, (BATCH, SEQUENCE)), TensorSpec("y", DataType.I64, (BATCH,))),
    (TensorSpec("z", DataType.F32, (BATCH, SEQUENCE)),),
)


def multiply(inputs: Any) -> dict[str, Any]:
    return {"z": (inputs["x"] * inputs["y"][:, None]).astype(np.float32)}


def call(rows: int, length: int) -> dict[str, Any]:
    return {
        "x": np.arange(rows * length, dtype=np.float32).reshape(rows, length),
        "y": np.arange(rows, dtype=np.int64),
    }


def test_each_call_is_computed_by_itself() -> None:
    model = FunctionModel(SIGNATURE, multiply)

    results = RawTask({}, SIGNATURE).run(model, [call(3, 2), call(1, 5)])

    assert model.shapes == [(3, 2), (1, 5)]
    np.testing.assert_array_equal(results[0]["z"], [[0, 0], [2, 3], [8, 10]])


def test_nested_lists_take_the_models_data_types() -> None:
    model = FunctionModel(SIGNATURE, multiply)

    (result,) = RawTask({}, SIGNATURE).run(model, [{"x": [[1, 2.5]], "y": [2]}])

    assert result["z"].tolist() == [[2, 5]]


def test_a_model_without_a_batch_dim_runs() -> None:
    free = Signature((TensorSpec("x", DataType.F32, ("time",)),), (TensorSpec("s", DataType.F32, ()),))
    model = FunctionModel(free, lambda inputs: {"s": inputs["x"].sum()})

    (result,) = RawTask({}, free).run(model, [{"x": np.ones(4, dtype=np.float32)}])

    assert result["s"] == 4
    with pytest.raises(ConfigError, match="no batch dim that all its inputs and outputs share"):
        RawTask({}, free).encode([{"x": np.ones(4, dtype=np.float32)}])


def test_calls_can_be_taken_apart_and_put_together() -> None:
    task, calls = RawTask({}, SIGNATURE), [call(3, 2), call(1, 5), call(2, 2)]

    rows = task.encode(calls)

    assert [row["x"].shape for row in rows] == [(2,), (2,), (2,), (5,), (2,), (2,)]
    assert [task.count_rows(item) for item in calls] == [3, 1, 2]
    model = FunctionModel(SIGNATURE, multiply)
    same = [calls[0], calls[2]]
    batch = task.encode(same)
    for found, expected in zip(task.decode(same, batch, model.compute(batch)), task.run(model, same), strict=True):
        np.testing.assert_array_equal(found["z"], expected["z"])
    assert len(task.encode([])) == 0


@pytest.mark.parametrize(
    ("item", "error", "message"),
    [
        ({"x": np.ones((1, 1), dtype=np.float32)}, UnknownInputError, "missing y"),
        ({**call(1, 1), "w": 1}, UnknownInputError, "unknown w"),
        (
            {**call(1, 1), "y": np.ones(1, dtype=np.int32)},
            DTypeMismatchError,
            "have the data type i64, but has int32",
        ),
        ({**call(1, 1), "y": np.ones(2, dtype=np.int64)}, ShapeMismatchError, "batch is 1 in another input"),
        ({**call(1, 1), "y": [[1]]}, ShapeMismatchError, r"input 'y' must have the shape \[batch\]"),
        ({**call(1, 1), "y": [1.5]}, RequestError, "input 'y' of call 1 has 1.5, which i64 cannot hold"),
        ({**call(1, 1), "x": [[1], [1, 2]]}, RequestError, "must be nested lists of equal lengths"),
        ({**call(1, 1), "x": np.full((1, 1), np.nan, dtype=np.float32)}, RequestError, "'x' of call 1 has NaN or inf"),
        ({**call(1, 1), "x": [[float("inf")]]}, RequestError, "input 'x' of call 1 has NaN or infinite numbers"),
        (
            {**call(1, 1), "x": np.ma.masked_array(np.ones((1, 1), dtype=np.float32), [[True]])},
            RequestError,
            "input 'x' of call 1 is a masked array",
        ),
        (None, RequestError, "call 1 must give each input by name, but is of the type NoneType"),
        ([1, 2], RequestError, "call 1 must give each input by name, but is of the type list"),
    ],
)
def test_calls_that_do_not_fit_are_refused_before_any_is_computed(
    item: Any, error: type[Exception], message: str
) -> None:
    model = FunctionModel(SIGNATURE, multiply)

    for use in (partial(RawTask({}, SIGNATURE).run, model), RawTask({}, SIGNATURE).encode):
        with pytest.raises(error, match=message):
            use([call(1, 1), item])
    assert model.shapes == []


def test_nan_is_taken_where_the_package_allows_it() -> None:
    task = RawTask({}, SIGNATURE).allowing_non_finite()

    (result,) = task.run(FunctionModel(SIGNATURE, multiply), [{"x": [[float("nan")]], "y": [1]}])

    assert np.isnan(result["z"]).all()


@pytest.mark.parametrize(
    "items", [call(1, 1), "abc", b"abc", None, 3, {1}, np.float32(1)], ids=lambda items: type(items).__name__
)
def test_what_is_not_a_list_of_calls_is_refused(items: Any) -> None:
    task, model = RawTask({}, SIGNATURE), FunctionModel(SIGNATURE, multiply)
    for use in (task.encode, task.read_calls, partial(task.run, model), lambda items: task.read(items, "cut")):
        with pytest.raises(RequestError, match="expected a list of"):
            use(items)
    assert model.shapes == []


def test_encoded_calls_of_several_rows_are_computed_as_run_computes_them() -> None:
    task, calls = RawTask({}, SIGNATURE), [call(3, 2), call(1, 5), call(0, 2), call(2, 2)]
    model = FunctionModel(SIGNATURE, multiply)
    expected = task.run(model, calls)
    batch = task.encode(calls)

    found = task.compute(model, calls, batch)

    assert [result["z"].shape for result in found] == [(3, 2), (1, 5), (0, 2), (2, 2)]
    for result, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(result["z"], right["z"])
    assert [indices for indices, _ in task.compute_batches(model, calls, batch, max_tokens=1)] == [[0], [1], [2], [3]]
    assert task.compute(model, [], task.encode([])) == []


def test_samples_fit_the_signature() -> None:
    text = Signature(
        (
            TensorSpec("input_ids", DataType.I64, (BATCH, SEQUENCE)),
            TensorSpec("attention_mask", DataType.I64, (BATCH, SEQUENCE)),
            TensorSpec("token_type_ids", DataType.I64, (BATCH, SEQUENCE)),
            TensorSpec("image", DataType.F32, (BATCH, 3, 8)),
            TensorSpec("flag", DataType.BOOL, (BATCH,)),
        ),
        (),
    )
    task = RawTask({"vocab_size": 11}, text)

    batches = task.samples()

    for batch in batches:
        for item in batch:
            text.check_inputs(item)
            assert item["input_ids"].max() < 11
            assert (item["attention_mask"] == 1).all()
            assert (item["token_type_ids"] == 0).all()
            assert np.isfinite(item["image"]).all()
    extents = [item["input_ids"].shape for batch in batches for item in batch]
    assert {length for _, length in extents} == {1, 2, 5, 16}
    assert {rows for rows, _ in extents} == {1, 3}
    np.testing.assert_array_equal(task.samples()[0][0]["image"], batches[0][0]["image"])


def test_samples_of_a_fixed_number_of_rows_have_just_as_many() -> None:
    fixed = Signature((TensorSpec("x", DataType.F32, (4, SEQUENCE)),), (TensorSpec("z", DataType.F32, (4,)),))
    task = RawTask({}, fixed)

    assert [len(task.encode(batch)) for batch in task.samples()] == [4, 4, 4, 4]
