"""Finding the rows because of which a batch fails, so that the others get their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Row = TypeVar("Row")
Answers = TypeVar("Answers")


def split_around_faults(
    rows: Sequence[Row], error: Exception, compute: Callable[[Sequence[Row]], Answers]
) -> Iterator[tuple[Sequence[Row], Answers | Exception]]:
    """Computes rows that failed together, apart from those that are to blame.

    One half of what is suspected is computed at a time. Where it succeeds, the other half is to blame; where it fails,
    the other half is set aside, and is computed with everything else that was set aside once a culprit is found. That
    takes at most ``ceil(log2(n)) + 1`` computations for each culprit among ``n`` rows.

    Args:
        rows: The rows of the batch that failed.
        error: How it failed.
        compute: Computes some of them.

    Yields:
        Rows with their answers, and culprits, one by one, with the error that each causes.
    """
    pending: list[Row] = list(rows)
    found: Exception | None = error
    while pending:
        if found is None:
            try:
                answers = compute(pending)
            except Exception as raised:  # noqa: BLE001 - given to the caller whose row raises it
                found = raised
            else:
                yield pending, answers
                return
        suspects, aside, failures, was_alone = pending, list[Row](), 1, len(pending) == 1
        while len(suspects) > 1:
            first, second = suspects[: len(suspects) // 2], suspects[len(suspects) // 2 :]
            try:
                answers = compute(first)
            except Exception as raised:  # noqa: BLE001 - as above
                suspects, aside, found = first, [*second, *aside], raised
                failures, was_alone = failures + 1, len(first) == 1
            else:
                yield first, answers
                suspects = second
        if was_alone or failures > 1:
            yield suspects, found
        else:
            # Two rows failed once, and one of them is innocent: the other one may be as well.
            yield from _compute_alone(suspects, compute)
        pending, found = aside, None


def _compute_alone(
    rows: Sequence[Row], compute: Callable[[Sequence[Row]], Answers]
) -> Iterator[tuple[Sequence[Row], Answers | Exception]]:
    try:
        yield rows, compute(rows)
    except Exception as error:  # noqa: BLE001 - given to the caller whose row raises it
        yield rows, error
