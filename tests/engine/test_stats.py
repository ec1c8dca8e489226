"""The statistics of an engine's batches."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox import Engine, EngineConfig
from inferox.engine.histogram import COUNT_BOUNDS, SHARE_BOUNDS, Histogram, HistogramRecorder
from tests.engine.models import DoublingModel, load_doubling

NUMBERS = st.lists(st.floats(0, 50_000), max_size=30)


def make(numbers: list[float]) -> Histogram:
    recorder = HistogramRecorder(COUNT_BOUNDS)
    for number in numbers:
        recorder.note(number)
    return recorder.read()


@given(NUMBERS, NUMBERS)
def test_each_number_is_in_the_bucket_that_takes_it(numbers: list[float], others: list[float]) -> None:
    found = make(numbers)
    lows = (-1.0, *found.bounds)
    highs = (*found.bounds, float("inf"))
    expected = [sum(low < number <= high for number in numbers) for low, high in zip(lows, highs, strict=True)]
    assert list(found.counts) == expected
    assert found.count == len(numbers)
    assert found.total == pytest.approx(sum(numbers))
    both = sum([found, make(others)])
    assert isinstance(both, Histogram)
    assert both.counts == make([*numbers, *others]).counts
    assert both.total == pytest.approx(sum(numbers) + sum(others))


def test_a_histogram_without_numbers_has_a_mean() -> None:
    assert Histogram.empty(SHARE_BOUNDS).mean == 0
    assert make([1.0, 3.0]).mean == 2


def test_batches_are_counted_by_their_rows_tokens_padding_and_times() -> None:
    model = DoublingModel()
    with Engine(EngineConfig(max_batch_rows=2)) as engine, ThreadPoolExecutor(1) as pool:
        engine.register(load_doubling(model))
        assert engine.infer("doubling", [[1] * 3, [1] * 4]).results == [6, 8]
        stats = engine.stats("doubling")
        assert (stats.batch_rows.total, stats.batch_rows.count) == (2, 1)
        assert (stats.batch_tokens.total, stats.batch_tokens.count) == (7, 1)
        assert stats.padding.total == pytest.approx(1 / 8)
        assert stats.compute_s.total == stats.computing_s > 0
        model.may_go.clear()
        model.has_begun.clear()
        first = pool.submit(engine.infer, "doubling", [[1]])
        assert model.has_begun.wait(10)
        release = threading.Timer(0.05, model.may_go.set)
        release.start()
        assert engine.infer("doubling", [[2]]).results == [4]
        assert first.result(10).results == [2]
        release.join()
        stats = engine.stats("doubling")
    assert stats.batch_rows.counts[:3] == (2, 1, 0)
    assert stats.queue_s.count == stats.rows == 4
    assert stats.queue_s.total > 0.02  # the last one waited for the one before
    assert stats.batches == stats.compute_s.count == stats.padding.count == 3
