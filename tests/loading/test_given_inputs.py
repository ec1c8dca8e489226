"""What a loaded model takes instead of tensors, and its outputs in other libraries."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import inferox
from inferox.core import ConfigError, DTypeMismatchError, RequestError, UnknownInputError
from inferox.loading import TaskModel

IDS = [[101, 2000, 2003, 102], [101, 2054, 102, 102]]
TYPES = np.zeros((2, 4), np.int64)


@pytest.fixture(scope="module", params=["torch", "onnxruntime", "openvino"])
def model(request: pytest.FixtureRequest, bert_package: Path) -> Iterator[TaskModel]:
    with inferox.load(bert_package, request.param, quality="exact") as model:
        yield model


@pytest.fixture(scope="module")
def expected(model: TaskModel) -> np.ndarray[Any, Any]:
    ids = np.array(IDS)
    (output,) = model.forward({"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": TYPES}).values()
    return output.numpy()


@pytest.mark.parametrize(
    "ids",
    [IDS, tuple(map(tuple, IDS)), torch.tensor(IDS), np.array(IDS), [np.array(row) for row in IDS]],
    ids=["lists", "tuples", "torch", "numpy", "a list of arrays"],
)
def test_ids_in_any_form_give_the_same(model: TaskModel, expected: Any, ids: Any) -> None:
    mask = torch.ones(2, 4, dtype=torch.int64)
    calls = [
        model.forward({"input_ids": ids}),
        model.forward(ids),
        model(ids),
        model(ids, mask, TYPES),
        model(ids, token_type_ids=TYPES.tolist()),
        model(input_ids=ids, attention_mask=mask),
        model({"input_ids": ids, "attention_mask": mask}),
        model(UserDict({"input_ids": ids}), attention_mask=mask),
    ]

    for outputs in calls:
        np.testing.assert_array_equal(np.asarray(outputs["last_hidden_state"]), expected)


def test_outputs_are_tensors_of_others(model: TaskModel, expected: Any) -> None:
    output = model(IDS)["last_hidden_state"]

    for tensor in (output.torch(), torch.utils.dlpack.from_dlpack(output)):
        np.testing.assert_array_equal(tensor.cpu().numpy(), expected)


@pytest.mark.parametrize(
    ("given", "named", "error", "says"),
    [
        ([[[101, 102], [101]]], {}, RequestError, "'input_ids' has lists of different lengths"),
        (["a text"], {}, RequestError, r"'input_ids' must be a tensor, an array, .*texts are for the method of the"),
        ([["a", "b"]], {}, RequestError, "'input_ids' must hold numbers, but holds texts .*texts are for the method"),
        ([[b"a"]], {}, RequestError, "'input_ids' must hold numbers, but holds bytes .*make an array of numbers"),
        ([[[None]]], {}, RequestError, "'input_ids' must hold numbers, but holds other objects"),
        ([[[1.5, 2.0]]], {}, DTypeMismatchError, "^input 'input_ids': value 0 must have the data type i64"),
        ([torch.tensor(IDS, dtype=torch.int32)], {}, DTypeMismatchError, r"i64, but has i32 \(.*torch.int64"),
        ([IDS, IDS, IDS, IDS], {}, UnknownInputError, r"takes 3 tensors by position \(.*\), but got 4$"),
        ([IDS], {"input_ids": IDS}, RequestError, "'input_ids' is given twice"),
        ([IDS], {"positions": IDS}, UnknownInputError, "unknown positions"),
        ([{"input_ids": IDS}], {"input_ids": IDS}, RequestError, "'input_ids' is given twice"),
        ([{"input": IDS}], {}, UnknownInputError, "missing input_ids; unknown input$"),
        ([{1: IDS}], {}, UnknownInputError, "missing input_ids; unknown 1$"),
        ([], {"attention_mask": IDS}, UnknownInputError, "missing input_ids$"),
        ([], {}, UnknownInputError, "missing input_ids$"),
        ([], {"typo": IDS}, UnknownInputError, "missing input_ids; unknown typo$"),
        ([np.ma.masked_equal(IDS, 101)], {}, RequestError, "'input_ids' is a masked array"),
    ],
)
def test_invalid_inputs_are_refused(
    model: TaskModel, given: list[Any], named: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        model(*given, **named)


class _Sum(torch.nn.Module):
    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return left + right


def test_a_tensor_without_a_name_is_refused_by_a_model_that_requires_several(tmp_path: Path) -> None:
    examples = {"left": torch.ones(2, 3), "right": torch.ones(2, 3)}
    package = inferox.pack(_Sum(), tmp_path / "sum.mlpkg", example_inputs=examples, backends=["onnxruntime"]).path

    with inferox.load(package) as model, pytest.raises(UnknownInputError) as caught:
        model.forward(np.ones((2, 3), np.float32))

    assert str(caught.value) == (
        "the model takes 2 inputs by their names (left, right), but got a single value of the type ndarray without a "
        "name (give a mapping: {'left': …, 'right': …})"
    )


def test_vectors_as_tensors_of_torch(model: TaskModel) -> None:
    found = model.embed(["one text", "another"], output="torch")

    assert isinstance(found, torch.Tensor)
    np.testing.assert_allclose(found.numpy(), model.embed(["one text", "another"]), atol=1e-6)
    assert model.embed("one text", output="torch", dtype="binary").dtype is torch.int8
    with pytest.raises(ConfigError, match="output must be numpy or torch, but is 'jax'"):
        model.embed(["one text"], output="jax")  # type: ignore[arg-type]  # the mistake under test
