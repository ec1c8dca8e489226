"""Steps that work at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from inferox.bulk.pipeline import Pipeline


def test_items_come_in_order_and_errors_where_they_are_used() -> None:
    def fail() -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("three")

    seen: list[int] = []
    with Pipeline() as pipeline, pytest.raises(LookupError, match="three"):
        seen.extend(pipeline.ahead(number * 10 for number in pipeline.ahead(fail())))
    assert seen == [10, 20]
    with Pipeline() as pipeline:
        assert list(pipeline.ahead(pipeline.ahead(iter(range(100))), depth=3)) == list(range(100))


def test_steps_overlap() -> None:
    # Each side waits for the other: one after the other they would never meet.
    meet = threading.Barrier(2, timeout=20)

    def make() -> Iterator[int]:
        yield 0
        meet.wait()
        yield 1

    with Pipeline() as pipeline:
        for number in pipeline.ahead(make()):
            if number == 0:
                meet.wait()


def test_a_step_whose_results_nobody_wants_ends() -> None:
    before = threading.active_count()

    def make_forever() -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    with Pipeline() as pipeline:
        assert next(pipeline.ahead(pipeline.ahead(make_forever()))) == 0
    assert threading.active_count() == before
