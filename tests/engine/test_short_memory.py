"""Memory that turns out to be short while a batch is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy.typing as npt
import pytest

from inferox import Engine
from inferox.core import Batch, OutOfMemoryError, Outputs
from tests.engine.models import POISON, DoublingModel, SumTask, double, fix_rows, load_doubling
from tests.engine.test_engine import held, wait_for_rows


def test_memory_that_is_short_for_a_task_halves_batches_as_well() -> None:
    """The model computes more rows at once than the task can read."""

    class HungryTask(SumTask):
        def decode(self, items: Sequence[Any], batch: Batch, outputs: Outputs) -> list[int]:
            if batch.cu_seqlens[-1] > 64:
                raise MemoryError
            return super().decode(items, batch, outputs)

    with Engine() as engine:
        engine.register(load_doubling(task=HungryTask()))
        items = [[number] * 8 for number in range(40)]
        assert engine.infer("doubling", items).results == double(items)
        assert engine.stats("doubling").failed_batches == 3  # of 320, 160 and 80 places
        with pytest.raises(OutOfMemoryError, match=r"^item 1: computing 'doubling' failed: MemoryError") as caught:
            engine.infer("doubling", [[1], [1] * 65])
        assert isinstance(caught.value.__cause__, MemoryError)


def test_a_row_that_takes_all_memory_does_not_make_the_batches_of_others_smaller() -> None:
    class BombedModel(DoublingModel):
        def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
            doubled = super()._compute({**inputs, "input_ids": inputs["input_ids"] % POISON})
            if (inputs["input_ids"] == POISON).any():
                raise OutOfMemoryError("a bomb", requested_bytes=None, free_bytes=None)
            return doubled

    model = BombedModel()
    items = [[number] * 8 for number in range(32)]
    with Engine() as engine, ThreadPoolExecutor(4) as pool:
        engine.register(load_doubling(model))
        with held(engine, model):
            asked = [pool.submit(engine.infer, "doubling", some) for some in (items[:14], [[POISON] * 8], items[14:])]
            wait_for_rows(engine, len(items) + 1)
        assert asked[0].result(20).results + asked[2].result(20).results == double(items)
        with pytest.raises(OutOfMemoryError, match=r"^item 0: a bomb"):
            asked[1].result(20)
        assert len(model.batches) <= 1 + 2 * 6  # the held one; down to the bomb, and up again
        model.batches.clear()
        assert engine.infer("doubling", items).results == double(items)
        assert len(model.batches) == 1


@pytest.mark.parametrize("failures", [1, 3])
def test_later_batches_of_fixed_rows_are_full_after_memory_was_short(failures: int) -> None:
    """Fewer rows would save no memory, as the model always computes as many."""

    class ShortModel(DoublingModel):
        left = failures

        def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
            if self.left:
                self.left -= 1
                raise OutOfMemoryError("short", requested_bytes=None, free_bytes=None)
            return super()._compute(inputs)

    model = fix_rows(ShortModel(), 8)
    failed, items = [[number] * 200 for number in range(8)], [[number] * 200 for number in range(64)]
    with Engine() as engine:
        engine.register(load_doubling(model))
        assert engine.infer("doubling", failed).results == double(failed)
        assert engine.stats("doubling").failed_batches == failures
        model.batches.clear()
        assert engine.infer("doubling", items).results == double(items)
    assert len(model.batches) == 8


def test_rows_of_a_fixed_number_are_answered_although_a_longer_one_has_no_memory() -> None:
    model = fix_rows(DoublingModel(most_places=8 * 100), 8)
    items = [[number] * 50 for number in range(7)]
    with Engine() as engine, ThreadPoolExecutor(2) as pool:
        engine.register(load_doubling(model))
        with held(engine, model):
            asked = [pool.submit(engine.infer, "doubling", some) for some in (items, [[7] * 200])]
            wait_for_rows(engine, len(items) + 1)
        assert asked[0].result(20).results == double(items)
        with pytest.raises(OutOfMemoryError, match=r"^item 0: too many places"):
            asked[1].result(20)
