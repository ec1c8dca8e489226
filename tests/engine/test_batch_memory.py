"""Batches that would exceed the available memory are divided or refused before they run."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox import Engine, EngineConfig
from inferox.core import (
    BATCH,
    SEQUENCE,
    Batch,
    DataType,
    DeviceId,
    InputTooLargeError,
    OutOfMemoryError,
    Outputs,
    Signature,
    TensorSpec,
)
from inferox.engine.artifact_cost import ArtifactCost
from inferox.engine.batch_memory import BatchMemory, output_shape
from inferox.engine.learned_cost import CostParts, LearnedCost
from inferox.engine.memory_budget import MemoryBudget
from inferox.engine.workload import Workload
from inferox.machine import MemoryGauge, MemoryLimit
from inferox.tasks import RawTask
from tests.engine.models import SIGNATURE, DoublingModel, SumTask, double, fix_rows, load_doubling

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process's memory")

LIMIT_BYTES = 64 << 20
PER_PLACE_BYTES = 128 << 10


class HungryModel(DoublingModel):
    """Takes much memory for each place while it computes."""

    def __init__(self, per_place_bytes: int = PER_PLACE_BYTES) -> None:
        super().__init__()
        self.places: list[int] = []
        self._per_place_bytes = per_place_bytes

    def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        self.places.append(inputs["input_ids"].size)
        # Mapped anew, as an array may get memory that this process has freed before.
        with mmap.mmap(-1, self.places[-1] * self._per_place_bytes) as taken:
            taken.write(bytes(len(taken)))
            return super()._compute(inputs)


@pytest.fixture
def hungry() -> HungryModel:
    return HungryModel()


@pytest.fixture
def engine(hungry: HungryModel) -> Iterator[Engine]:
    """An engine that has computed a batch, and so knows the memory of batches."""
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


def test_batches_of_fixed_rows_are_full_whatever_the_first_one_took() -> None:
    """A row alone takes as much memory as a full batch, and fewer rows would save none."""
    for _ in range(2):
        # What is measured is the memory of the whole process, of which threads of other tests may take some.
        with suppress(OutOfMemoryError):
            compute_fixed_rows()
            return
    compute_fixed_rows()


def compute_fixed_rows() -> None:
    model = HungryModel(32 << 10)
    fix_rows(model, 8)
    items = [[number] * 150 for number in range(64)]
    with Engine(EngineConfig(memory_limit_bytes=LIMIT_BYTES)) as engine:
        engine.register(load_doubling(model))
        engine.infer("doubling", items[:1])
        assert engine.infer("doubling", items).results == double(items)
        assert len(model.places) == 1 + 8
        with pytest.raises(InputTooLargeError, match=r"^item 0: a row of 300 tokens needs about"):
            engine.infer("doubling", [[1] * 300])
    assert max(model.places) == 8 * 150


def test_a_row_that_can_never_have_room_is_refused_at_once_and_others_are_answered(
    engine: Engine, hungry: HungryModel
) -> None:
    long = [1] * 1000
    batches = engine.stats("doubling").batches
    expected = r"^item 1: a row of 1,000 tokens needs about [\d,]+ bytes of memory .* can have 67,108,863 at most"
    with pytest.raises(InputTooLargeError, match=expected) as caught:
        engine.infer("doubling", [[5], long])
    assert caught.value.limit_bytes == LIMIT_BYTES - 1 < caught.value.needed_bytes  # a model counts as a byte at least
    assert engine.stats("doubling").batches == batches  # no row was computed
    assert engine.infer("doubling", [[6] * 50]).results == [600]
    assert max(hungry.places) < len(long)


def test_a_row_whose_outputs_have_no_room_is_refused_before_anything_was_measured() -> None:
    outputs = (TensorSpec("doubled", DataType.I64, (BATCH, SEQUENCE, 100_000)),)
    model = DoublingModel()
    model.signature = model.layout_signature = Signature(SIGNATURE.inputs, outputs)
    with Engine(EngineConfig(memory_limit_bytes=LIMIT_BYTES)) as engine:
        engine.register(load_doubling(model))
        with pytest.raises(InputTooLargeError, match="a row of 100 tokens needs about 80,000,000 bytes"):
            engine.infer("doubling", [[1] * 100])
    assert not model.batches


def test_outputs_are_counted_where_their_extents_are_known() -> None:
    outputs = (
        TensorSpec("pooled", DataType.F32, (BATCH, 10)),
        TensorSpec("tokens", DataType.F16, (BATCH, SEQUENCE, 7, "unknown")),
        TensorSpec("attention", DataType.I8, (BATCH, 12, SEQUENCE, SEQUENCE)),
        TensorSpec("constant", DataType.F32, (3,)),
    )
    signature = Signature(SIGNATURE.inputs, outputs)
    assert output_shape(signature, has_tokens=True) == CostParts(0, 40, 14, 12)
    assert output_shape(signature, has_tokens=False) == CostParts(0, 40, 0, 0)


def test_calls_of_several_rows_are_not_taken_for_one_long_row() -> None:
    """Pairs of tokens count within each row of a call: six rows take six times as much as one."""
    model = HungryModel(12 << 10)
    with Engine(EngineConfig(memory_limit_bytes=LIMIT_BYTES)) as engine:
        engine.register(load_doubling(model, RawTask({}, SIGNATURE)))
        for rows in (1, 6):
            ids = np.ones((rows, 300), dtype=np.int64)
            (answer,) = engine.infer("doubling", [{"input_ids": ids, "attention_mask": ids}]).results
            assert answer["doubled"].shape == (rows, 300)
        ids = np.ones((20, 300), dtype=np.int64)
        with pytest.raises(InputTooLargeError, match=r"^item 0: the call needs about [\d,]+ bytes"):
            engine.infer("doubling", [{"input_ids": ids, "attention_mask": ids}])


def test_a_row_without_tokens_is_not_said_to_have_some() -> None:
    class NumbersTask(SumTask):
        def encode(self, items: Sequence[Any]) -> Batch:
            return Batch.of_rows({"numbers": np.array(items, dtype=np.int64)})

    model = DoublingModel()
    inputs = (TensorSpec("numbers", DataType.I64, (BATCH, 3)),)
    outputs = (TensorSpec("doubled", DataType.I64, (BATCH, 10_000_000)),)
    model.signature = model.layout_signature = Signature(inputs, outputs)
    with Engine(EngineConfig(memory_limit_bytes=LIMIT_BYTES)) as engine:
        engine.register(load_doubling(model, NumbersTask()))
        with pytest.raises(InputTooLargeError, match=r"^item 0: the row needs about 80,000,000 bytes"):
            engine.infer("doubling", [[1, 2, 3]])


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
        assert budget.running == 2
    assert (budget.running, budget.begun) == (0, 2)


def test_batches_that_run_together_do_not_each_take_all_that_the_container_has_left() -> None:
    budget = MemoryBudget(None, read_container=lambda: MemoryLimit(1000, 100))
    with budget.computing(100, 600) as room, budget.computing(100, 600) as beside:
        assert (room, beside) == (900, 300)


@given(sharers=st.integers(1, 8), used=st.integers(0, 1000), least=st.integers(0, 400), most=st.integers(1, 1000))
def test_processes_share_what_the_container_has_left(sharers: int, used: int, least: int, most: int) -> None:
    """All begin at the same moment, before any has taken its memory."""
    budgets = [
        MemoryBudget(None, sharers=sharers, read_container=lambda: MemoryLimit(1000, used)) for _ in range(sharers)
    ]
    rooms = []
    for budget in budgets:
        with budget.computing(least, most) as room:
            assert room is not None
            rooms.append(room)
    if least * sharers <= 1000 - used:
        assert all(room >= least for room in rooms)
        assert sum(rooms) <= 1000 - used
    else:  # a row that needs more than its share gets it, if it is available
        assert all(room == min(least, 1000 - used) for room in rooms)


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_divides_and_refuses_as_well(
    hungry: HungryModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if version == 1 else ("memory.max", "memory.current")
    folder, membership = tmp_path / ("memory/app" if version == 1 else "app"), tmp_path / "cgroup"
    folder.mkdir(parents=True)
    membership.write_text("5:memory:/app\n" if version == 1 else "0::/app\n", encoding="ascii")

    def set_limit(limit_bytes: int, used_bytes: int) -> None:
        for name, size in zip(names, (limit_bytes, used_bytes), strict=True):
            (folder / name).write_text(f"{size}\n", encoding="ascii")

    read = MemoryGauge(tmp_path, membership)
    monkeypatch.setattr("inferox.engine.local.MemoryBudget", partial(MemoryBudget, read_container=read))
    set_limit(1 << 30, 0)
    with Engine(EngineConfig(max_batch_tokens=100_000)) as engine:
        engine.register(load_doubling(hungry))
        engine.infer("doubling", [[1] * 200])
        set_limit(1 << 30, (1 << 30) - LIMIT_BYTES)
        items = [[number] * 100 for number in range(40)]
        assert engine.infer("doubling", items).results == double(items)
        kept = 16 << 20  # the most that this process may have kept of earlier batches
        assert max(hungry.places) * PER_PLACE_BYTES <= LIMIT_BYTES + kept
        with pytest.raises(OutOfMemoryError, match=r"^item 1: a row of 1,000 tokens needs about .* are free"):
            engine.infer("doubling", [[5], [1] * 1000])
        set_limit(LIMIT_BYTES, 0)
        with pytest.raises(InputTooLargeError, match=r"^item 1: .* 67,108,864 at most \(.* the container's limit\)"):
            engine.infer("doubling", [[5], [1] * 1000])
    assert max(hungry.places) < 1000


SHAPE = CostParts(65536, 1024, 98304, 192)


def make_memory(budget: MemoryBudget, scale: float | None) -> tuple[BatchMemory, ArtifactCost]:
    cost = ArtifactCost("a", LearnedCost(SHAPE), SHAPE, scale, None)
    return BatchMemory(cost, budget, DeviceId.cpu(), outputs=CostParts(0, 0, 4, 0), weights_bytes=0), cost


@given(
    lengths=st.lists(st.integers(1, 2000), min_size=1, max_size=64),
    room=st.integers(0, 1 << 31),
    scale=st.none() | st.floats(0.1, 10),
)
def test_what_runs_has_room(lengths: list[int], room: int, scale: float | None) -> None:
    """As many rows run as fit by the estimate; before anything was measured, only small ones or a first one."""
    memory, cost = make_memory(MemoryBudget(max(1, room), read_container=lambda: None), scale)
    room = max(room, 8 << 20)

    def work_of(count: int) -> Workload:
        return Workload.of_lengths(lengths[:count])

    try:
        with memory.use(len(lengths), work_of) as count:
            assert 1 <= count <= len(lengths)
    except OutOfMemoryError:
        assert scale is not None
        assert cost.estimate_bytes(work_of(1)) > room
        return
    if cost.estimate_bytes(work_of(count)) > room:
        assert (scale, count) == (None, 1)
    if count < len(lengths):
        assert cost.estimate_bytes(work_of(count + 1)) > room


def test_nothing_is_learned_while_a_model_is_loaded() -> None:
    budget = MemoryBudget(None, read_container=lambda: None)
    memory, cost = make_memory(budget, None)
    work = Workload(1, 1000, 1_000_000)
    with (
        memory.use(1, lambda _: work),
        budget.reserve(1),
        mmap.mmap(-1, 32 << 20) as weights,
    ):
        weights.write(bytes(len(weights)))
    assert not cost.knows_bytes
    with memory.use(1, lambda _: work), mmap.mmap(-1, 32 << 20) as taken:
        taken.write(bytes(len(taken)))
    assert cost.knows_bytes


def test_answers_that_are_arrays_are_put_together_where_the_memory_was_short() -> None:
    class ArrayTask(SumTask):
        def decode(self, items: Sequence[Any], batch: Batch, outputs: Outputs) -> Any:
            return np.array([[total, total] for total in super().decode(items, batch, outputs)])

    with Engine() as engine:
        engine.register(load_doubling(DoublingModel(most_places=12), ArrayTask()))
        found = engine.infer("doubling", [[number] * 3 for number in range(20)]).results
    assert [row[0] for row in found] == [6 * number for number in range(20)]
