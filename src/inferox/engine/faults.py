"""The search for the rows that make a batch fail, so that the others get their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Row = TypeVar("Row")
Answers = TypeVar("Answers")


def split_around_faults(
    rows: Sequence[Row],
    error: Exception,
    compute: Callable[[Sequence[Row]], Answers],
    *,
    is_needed: Callable[[Row], bool] = lambda _: True,
) -> Iterator[tuple[Sequence[Row], Answers | Exception]]:
    """Computes rows that failed together, except those that are to blame.

    It bisects: half of the suspects are computed at a time. If they succeed, the other half is to blame; if they fail,
    the other half is set aside, and is computed with everything else set aside once a culprit is found. That takes at
    most ``ceil(log2(n)) + 1`` computations per culprit among ``n`` rows if all errors are alike, and one more if they
    are not: the last suspect is then computed alone before it is blamed.

    Args:
        rows: The rows of the batch that failed.
        error: The error of the batch.
        compute: Computes some of the rows.
        is_needed: Whether somebody still waits for a row; others are left out.

    Yields:
        Rows with their answers, and culprits, one by one, with the error that each causes.
    """
    pending: list[Row] = list(rows)
    found: Exception | None = error
    while pending := [row for row in pending if is_needed(row)]:
        if found is None:
            answers = _try(compute, pending)
            if not isinstance(answers, Exception):
                yield pending, answers
                return
            found = answers
        suspects, aside, errors, was_alone = pending, list[Row](), {_text(found)}, len(pending) == 1
        failures = 1
        while len(suspects) > 1:
            first, second = suspects[: len(suspects) // 2], suspects[len(suspects) // 2 :]
            answers = _try(compute, first)
            if isinstance(answers, Exception):
                suspects, aside, found = first, [*second, *aside], answers
                errors, failures, was_alone = errors | {_text(found)}, failures + 1, len(first) == 1
            else:
                yield first, answers
                suspects = second
        # If errors differ, or there was only one, the cause may not have been a row.
        if was_alone or (failures > 1 and len(errors) == 1):
            yield suspects, found
        else:
            yield suspects, _try(compute, suspects)
        pending, found = aside, None


def _try(compute: Callable[[Sequence[Row]], Answers], rows: Sequence[Row]) -> Answers | Exception:
    try:
        return compute(rows)
    except Exception as error:  # noqa: BLE001 - given to the caller whose row raises it
        return error


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
