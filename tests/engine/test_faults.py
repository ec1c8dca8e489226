"""Finding the culprits of a batch that failed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from inferox.engine.faults import split_around_faults


class Computer:
    """Fails where a culprit is among the rows, or on the first so many calls."""

    def __init__(self, culprits: set[int], *, accidents: int = 0) -> None:
        self.culprits = culprits
        self.accidents = accidents
        self.calls: list[list[int]] = []

    def __call__(self, rows: Sequence[int]) -> list[int]:
        self.calls.append(list(rows))
        if self.accidents >= len(self.calls):
            raise OSError("by accident")
        guilty = [row for row in rows if row in self.culprits]
        if guilty:
            raise ValueError(f"row {guilty[0]}")
        return [10 * row for row in rows]


@given(st.data())
def test_everybody_else_gets_an_answer_after_few_computations(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 70))
    culprits = data.draw(st.sets(st.integers(0, count - 1), min_size=1))
    compute = Computer(culprits)
    answers: dict[int, int] = {}
    errors: dict[int, Exception] = {}
    for rows, found in split_around_faults(range(count), ValueError(f"row {min(culprits)}"), compute):
        if isinstance(found, Exception):
            assert len(rows) == 1
            errors[rows[0]] = found
        else:
            assert not answers.keys() & set(rows)
            answers.update(zip(rows, found, strict=True))
    assert errors.keys() == culprits
    assert answers == {row: 10 * row for row in range(count) if row not in culprits}
    assert len(compute.calls) <= len(culprits) * (math.ceil(math.log2(count)) + 1)


@given(st.integers(2, 70), st.data())
def test_a_single_culprit_has_its_own_error(count: int, data: st.DataObject) -> None:
    culprit = data.draw(st.integers(0, count - 1))
    found = list(split_around_faults(range(count), ValueError(f"row {culprit}"), Computer({culprit})))
    assert [str(error) for _, error in found if isinstance(error, Exception)] == [f"row {culprit}"]


def test_two_rows_that_failed_by_accident_both_get_answers() -> None:
    found = list(split_around_faults([3, 4], OSError("by accident"), Computer(set())))
    assert [(list(rows), answers) for rows, answers in found] == [([3], [30]), ([4], [40])]
