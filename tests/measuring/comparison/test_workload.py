"""The workload of artifacts: varied, and always the same."""

from __future__ import annotations

import statistics
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from inferox.core import DataType, Signature, TensorSpec
from inferox.measuring.comparison import Spread
from inferox.measuring.comparison.workload import LONGEST_WORDS, SHORTEST_WORDS, Workload, mixed_texts
from inferox.tasks import RawTask, choose_task, open_task
from tests.package.packages import SIGNATURE, make_samples


def test_texts_are_of_the_lengths_that_people_write() -> None:
    lengths = [len(text.split()) for text in mixed_texts(2000)]
    assert min(lengths) == SHORTEST_WORDS
    assert 100 < max(lengths) <= LONGEST_WORDS
    assert 18 < statistics.mean(lengths) < 22
    assert lengths != sorted(lengths)


def test_texts_are_always_the_same() -> None:
    assert mixed_texts(50) == mixed_texts(50)
    assert len(set(mixed_texts(50))) == 50


@given(st.integers(1, 300))
def test_as_many_as_requested(count: int) -> None:
    assert len(mixed_texts(count)) == count


def test_texts_that_are_cut_are_measured_once(minilm_directory: Path) -> None:
    dims = ("batch", "seq")
    inputs = tuple(TensorSpec(name, DataType.I64, dims) for name in ("input_ids", "attention_mask", "token_type_ids"))
    signature = Signature(inputs, (TensorSpec("last_hidden_state", DataType.F32, (*dims, 16)),))
    choice = choose_task(minilm_directory, {}, signature, task="embed")
    task = open_task(choice.name, {**choice.options, "max_length": 40}, minilm_directory, signature)
    workload = Workload(task, signature, None)
    singles = workload.singles()
    lengths = [workload.length(item) for item in singles]
    assert lengths == sorted(set(lengths), key=lambda length: length or 0)
    assert lengths[-1] == 40
    assert len(str(singles[workload.typical(singles)]).split()) == 16
    rows = task.encode(workload.mixed(5))
    assert workload.tokens(workload.rows(workload.mixed(5))) == sum(len(row["input_ids"]) for row in rows)


def test_tensors_are_the_samples_again() -> None:
    samples = make_samples()
    workload = Workload(RawTask({}, SIGNATURE), SIGNATURE, samples)
    assert [len(call["x"]) for call in workload.mixed(3)] == [2, 1, 2]
    assert workload.first()["x"].shape == (1, 2)
    assert workload.tokens(workload.rows(workload.mixed(3))) is None
    assert Workload(RawTask({}, SIGNATURE), SIGNATURE, None).first()["x"].shape == (1, 2)


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_a_spread_lies_within_the_numbers(values: list[float]) -> None:
    spread = Spread.of(values)
    slack = 1e-6
    assert min(values) - slack <= spread.low <= spread.median <= spread.high <= max(values) + slack
    assert abs(spread.median - statistics.median(values)) <= slack
