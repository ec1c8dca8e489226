"""Batches that would take more memory than there is are divided or refused before they run."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from inferox import Engine, EngineConfig
from inferox.core import Batch, OutOfMemoryError, Outputs
from inferox.engine.memory_budget import MemoryBudget
from inferox.machine import MemoryLimit
from tests.engine.models import DoublingModel, SumTask, double, load_doubling

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process's memory")

LIMIT_BYTES = 64 << 20
PER_PLACE_BYTES = 128 << 10


class HungryModel(DoublingModel):
    """Takes much memory for each place while it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[int] = []

    def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        self.places.append(inputs["input_ids"].size)
        # Mapped anew, where an array may get what this process has given back before.
        with mmap.mmap(-1, self.places[-1] * PER_PLACE_BYTES) as taken:
            taken.write(bytes(len(taken)))
            return super()._compute(inputs)


@pytest.fixture
def hungry() -> HungryModel:
    return HungryModel()


@pytest.fixture
def engine(hungry: HungryModel) -> Iterator[Engine]:
    """An engine that has computed a batch, and so knows what they take."""
    config = EngineConfig(memory_limit_bytes=LIMIT_BYTES, max_batch_tokens=100_000)
    with Engine(config) as engine:
        engine.register(load_doubling(hungry))
        engine.infer("doubling", [[1] * 200])
        yield engine


def test_a_batch_that_would_pass_the_limit_is_divided(engine: Engine, hungry: HungryModel) -> None:
    items = [[number] * 100 for number in range(40)]
    assert engine.infer("doubling", items).results == double(items)
    assert max(hungry.places) * PER_PLACE_BYTES <= LIMIT_BYTES
    assert len(hungry.places) < len(items)  # and not into single rows
    assert engine.stats("doubling").failed_batches == 0


def test_a_row_that_has_no_room_by_itself_is_refused_and_others_are_answered(
    engine: Engine, hungry: HungryModel
) -> None:
    long = [1] * 1000
    with pytest.raises(OutOfMemoryError, match=r"^item 1: a row of 1,000 tokens needs about [\d,]+ bytes") as caught:
        engine.infer("doubling", [[5], long])
    assert caught.value.requested_bytes is not None
    assert caught.value.requested_bytes > LIMIT_BYTES
    assert engine.infer("doubling", [[6] * 50]).results == [600]
    assert max(hungry.places) < len(long)


def test_nothing_is_divided_where_nothing_limits_the_memory(hungry: HungryModel) -> None:
    with Engine(EngineConfig(max_batch_tokens=100_000)) as engine:
        engine.register(load_doubling(hungry))
        engine.infer("doubling", [[1] * 200])
        items = [[number] * 100 for number in range(8)]
        assert engine.infer("doubling", items).results == double(items)
    assert max(hungry.places) == 800


def test_a_batch_has_what_the_container_has_left_and_the_runtime_kept() -> None:
    budget = MemoryBudget(None, read_container=lambda: MemoryLimit(1000, 700))
    with budget.computing(100, 500, kept_bytes=50) as room:
        assert room == 350
    budget = MemoryBudget(800, read_container=lambda: MemoryLimit(1000, 100))
    with budget.computing(100, 300) as room, budget.computing(100, 300) as beside:
        assert (room, beside) == (800, 500)
        assert budget.running_batches == 2
    assert (budget.running_batches, budget.begun_batches) == (0, 2)


def test_answers_that_are_arrays_are_put_together_where_the_memory_was_short() -> None:
    class ArrayTask(SumTask):
        def decode(self, items: Sequence[Any], batch: Batch, outputs: Outputs) -> Any:
            return np.array([[total, total] for total in super().decode(items, batch, outputs)])

    with Engine() as engine:
        engine.register(load_doubling(DoublingModel(most_places=12), ArrayTask()))
        found = engine.infer("doubling", [[number] * 3 for number in range(20)]).results
    assert [row[0] for row in found] == [6 * number for number in range(20)]
