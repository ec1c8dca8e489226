"""How far a call with many items has come, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Any

_LINE_EVERY_S = 5.0


def watch(answers: Iterator[tuple[Sequence[int], Any]], total: int, unit: str) -> Iterator[tuple[Sequence[int], Any]]:
    """Passes answers on, and shows how many items have one: a bar on a terminal, elsewhere a line every five seconds.

    Args:
        answers: The indices of some items, and their results.
        total: The number of items.
        unit: What they are, such as ``texts``.
    """
    show = _show_bar if sys.stderr.isatty() else _show_lines
    return show(answers, total, unit)


def _show_bar(
    answers: Iterator[tuple[Sequence[int], Any]], total: int, unit: str
) -> Iterator[tuple[Sequence[int], Any]]:
    # Rich takes a fifth of the time of "import inferox", and few calls show a bar.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    began_s = monotonic()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(unit, total=total, rate="")
        done = 0
        for indices, results in answers:
            yield indices, results
            done += len(indices)
            bar.update(task, completed=done, rate=f"{done / max(monotonic() - began_s, 1e-9):,.0f}/s")


def _show_lines(
    answers: Iterator[tuple[Sequence[int], Any]], total: int, unit: str
) -> Iterator[tuple[Sequence[int], Any]]:
    began_s = told_s = monotonic()
    done = 0
    for indices, results in answers:
        yield indices, results
        done += len(indices)
        now_s = monotonic()
        if now_s - told_s >= _LINE_EVERY_S or done == total:
            told_s, rate = now_s, done / max(now_s - began_s, 1e-9)
            left = f", {(total - done) / rate:,.0f} s left" if done < total else ""
            sys.stderr.write(f"{done:,} of {total:,} {unit}, {rate:,.0f}/s{left}\n")
            sys.stderr.flush()
