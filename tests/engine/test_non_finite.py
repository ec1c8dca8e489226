"""Outputs that are not finite: counted, or refused by name, and never blamed on another row."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from inferox import Engine, EngineConfig
from inferox.core import Batch, DataType, NonFiniteOutputError, Outputs, Signature, TensorSpec
from inferox.engine.finiteness import find_non_finite, is_finite
from inferox.tasks import RawTask
from inferox.tasks.labels import LabelScore
from tests.engine.models import SIGNATURE, DoublingModel, SumTask, load_doubling

NAN, INFINITE, CONTAGIOUS = 301, 302, 303
"""Numbers from which the model makes NaN, an infinity, or NaN for all rows of the batch."""


class HalfFiniteModel(DoublingModel):
    """Doubles numbers as floating-point numbers, except for a few."""

    def __init__(self) -> None:
        super().__init__()
        outputs = (TensorSpec("doubled", DataType.F32, SIGNATURE.outputs[0].dims),)
        self.signature = self.layout_signature = Signature(SIGNATURE.inputs, outputs)

    def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        ids = inputs["input_ids"]
        doubled = super()._compute(inputs)["doubled"].astype(np.float32)
        doubled[ids == NAN] = np.nan
        doubled[ids == INFINITE] = np.inf
        return {"doubled": doubled + (np.nan if (ids == CONTAGIOUS).any() else 0)}


class FloatTask(SumTask):
    """Sums up floating-point numbers; of an item that begins with 1, only the first."""

    def decode(self, items: Sequence[Any], batch: Batch, outputs: Outputs) -> list[Any]:  # noqa: ARG002
        return [
            float(row["doubled"][: 1 if item[0] == 1 else None].sum()) for item, row in zip(items, outputs, strict=True)
        ]


def make_engine(**settings: Any) -> Engine:
    engine = Engine(EngineConfig(**settings))
    engine.register(load_doubling(HalfFiniteModel(), FloatTask()))
    return engine


def test_they_are_counted_and_answered_as_they_are() -> None:
    with make_engine() as engine:
        first, second, third = engine.infer("doubling", [[2, NAN], [3], [INFINITE]]).results
        assert math.isnan(first)
        assert (second, third) == (6, math.inf)
        assert engine.stats("doubling").non_finite_rows == 2
        assert engine.infer("doubling", [[4]]).results == [8]
        assert engine.stats("doubling").non_finite_rows == 2


@pytest.mark.parametrize("number", [NAN, INFINITE])
def test_by_option_they_are_an_error_that_names_the_row(number: int) -> None:
    with make_engine(refuse_non_finite=True) as engine:
        healthy = engine.infer_many("doubling", [[[2]], [[3]]])
        assert [answer.results for answer in healthy] == [[4], [6]]
        with pytest.raises(NonFiniteOutputError, match=r"^item 2: .* computed NaN or infinity for it") as caught:
            engine.infer("doubling", [[2], [3], [number], [4]])
        assert caught.value.item == 2
        assert engine.stats("doubling").non_finite_rows == 1


@pytest.mark.parametrize("refuse", [True, False])
def test_mates_of_a_row_that_spoils_its_batch_get_their_answers(refuse: bool) -> None:
    model = HalfFiniteModel()
    with Engine(EngineConfig(refuse_non_finite=refuse)) as engine:
        engine.register(load_doubling(model, FloatTask()))
        assert_mates_are_answered(engine, model, refuse=refuse)


def assert_mates_are_answered(engine: Engine, model: HalfFiniteModel, *, refuse: bool) -> None:
    """The requests wait behind one that is held, and so share a batch."""
    requests = [[[2]], [[CONTAGIOUS]], [[3]], [[4]]]
    with ThreadPoolExecutor(5) as pool:
        model.may_go.clear()
        held = pool.submit(engine.infer, "doubling", [[5]])
        assert model.has_begun.wait(20)
        asked = [pool.submit(engine.infer, "doubling", items) for items in requests]
        while engine.stats("doubling").waiting_rows < 4:
            time.sleep(0.001)
        model.may_go.set()
        assert [asked[index].result(20).results for index in (0, 2, 3)] == [[4], [6], [8]]
        if refuse:
            with pytest.raises(NonFiniteOutputError, match=r"^item 0: .*"):
                asked[1].result(20)
        else:
            assert math.isnan(asked[1].result(20).results[0])
        assert held.result(20).results == [10]
    assert any(len(batch) == 4 for batch in model.batches)
    assert engine.stats("doubling").non_finite_rows == 1


def test_an_infinity_that_no_answer_shows_is_not_a_fault() -> None:
    with make_engine(refuse_non_finite=True) as engine:
        assert engine.infer("doubling", [[1, INFINITE]]).results == [2]
        assert engine.stats("doubling").non_finite_rows == 0


def test_calls_of_tensors() -> None:
    model = HalfFiniteModel()
    with Engine(EngineConfig(refuse_non_finite=True)) as engine:
        engine.register(load_doubling(model, RawTask({}, model.signature)))
        calls = [{"input_ids": [[number]], "attention_mask": [[1]]} for number in (1, NAN)]
        with pytest.raises(NonFiniteOutputError) as caught:
            engine.infer("doubling", calls)
        assert caught.value.item == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", True),
        (None, True),
        (10**400, True),
        (1.5, True),
        (math.nan, False),
        (np.float32("inf"), False),
        (np.array([1, 2]), True),
        (np.array([1.0, np.nan], np.float16), False),
        ({"x": np.zeros(2), "y": [math.inf]}, False),
        ((LabelScore("a", 0.5), LabelScore("b", math.nan)), False),
        ((LabelScore("a", 0.5),), True),
        ([], True),
    ],
)
def test_what_is_finite(value: Any, expected: bool) -> None:
    assert is_finite(value) is expected


def test_outputs_that_were_not_read_are_not_fetched() -> None:
    class Remote:
        shape = (1, 2)

    spec = TensorSpec("x", DataType.F32, ("batch", 2))
    batch = Batch.of_rows({"x": np.zeros((1, 2), np.float32)})
    outputs = Outputs({"x": Remote()}, Signature((spec,), (spec,)), batch)  # type: ignore[dict-item]
    assert outputs.find_non_finite() == {}


def test_results_of_inputs_that_are_not_finite_are_not_a_fault() -> None:
    spec = TensorSpec("x", DataType.F32, ("batch", 2))
    numbers = np.array([[1, 2], [np.nan, 3], [4, 5]], np.float32)
    batch = Batch.of_rows({"x": numbers})
    outputs = Outputs(
        {"x": np.where([[True], [True], [False]], numbers, np.float32(np.inf))}, Signature((spec,), (spec,)), batch
    )
    assert find_non_finite(batch, outputs, [0.0, math.nan, math.inf]) == {2: False}
