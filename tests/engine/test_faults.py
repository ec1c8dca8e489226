"""Finding the culprits of a batch that failed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from inferox.engine.faults import split_around_faults


class Computer:
    """Fails if a culprit is among the rows, or on the first few calls."""

    def __init__(self, culprits: set[int], *, accidents: int = 0, text: str | None = None) -> None:
        self.culprits = culprits
        self.text = text
        self.accidents = accidents
        self.calls: list[list[int]] = []

    def __call__(self, rows: Sequence[int]) -> list[int]:
        self.calls.append(list(rows))
        if self.accidents >= len(self.calls):
            raise OSError("by accident")
        guilty = [row for row in rows if row in self.culprits]
        if guilty:
            raise ValueError(self.text or f"row {guilty[0]}")
        return [10 * row for row in rows]


@given(st.data())
def test_everybody_else_gets_an_answer_after_few_computations(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 70))
    culprits = data.draw(st.sets(st.integers(0, count - 1), min_size=1))
    text = data.draw(st.sampled_from([None, "alike"]))
    compute = Computer(culprits, text=text)
    answers: dict[int, int] = {}
    errors: dict[int, Exception] = {}
    for rows, found in split_around_faults(range(count), ValueError(text or f"row {min(culprits)}"), compute):
        if isinstance(found, Exception):
            assert len(rows) == 1
            errors[rows[0]] = found
        else:
            assert not answers.keys() & set(rows)
            answers.update(zip(rows, found, strict=True))
    assert errors.keys() == culprits
    assert answers == {row: 10 * row for row in range(count) if row not in culprits}
    assert len(compute.calls) <= len(culprits) * (math.ceil(math.log2(count)) + (1 if text else 2))


@given(st.integers(2, 70), st.data())
def test_a_single_culprit_has_its_own_error(count: int, data: st.DataObject) -> None:
    culprit = data.draw(st.integers(0, count - 1))
    found = list(split_around_faults(range(count), ValueError(f"row {culprit}"), Computer({culprit})))
    assert [str(error) for _, error in found if isinstance(error, Exception)] == [f"row {culprit}"]


def test_two_rows_that_failed_by_accident_both_get_answers() -> None:
    found = list(split_around_faults([3, 4], OSError("by accident"), Computer(set())))
    assert [(list(rows), answers) for rows, answers in found] == [([3], [30]), ([4], [40])]


def test_nobody_is_blamed_for_an_accident_on_the_way() -> None:
    """The first half fails once by accident, and its last row remains."""
    compute = Computer({3}, accidents=1)
    found = list(split_around_faults(range(4), ValueError("row 3"), compute))
    assert [list(rows) for rows, answers in found if isinstance(answers, Exception)] == [[3]]


def test_rows_that_nobody_waits_for_are_left_out() -> None:
    compute, gone = Computer({1}), set[int]()

    def is_needed(row: int) -> bool:
        return row not in gone

    for rows, found in split_around_faults(range(8), ValueError("row 1"), compute, is_needed=is_needed):
        if isinstance(found, Exception):
            assert list(rows) == [1]
            gone |= set(range(2, 8))  # the other rows of the same request
    assert all(5 not in call for call in compute.calls)
