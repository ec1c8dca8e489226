"""How far long work is, on standard error: a bar on a terminal, elsewhere a line every few seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from inferox.cli.terminal import make_console, say

Show = Callable[[str, float, float], None]
"""Told what is being done, how many steps are done, and how many there are."""

_EVERY_S = 3.0


@contextmanager
def showing_progress(plan: str) -> Iterator[Show]:
    """Says what is going to be measured, and shows how far it is while the block runs.

    Args:
        plan: What is going to be measured, and how long it may take.
    """
    say(f"inferox: {plan}", err=True)
    if sys.stderr.isatty():
        with _bar() as show:
            yield show
    else:
        yield _lines()


@contextmanager
def showing_steps(work: str) -> Iterator[Callable[[str], None]]:
    """Shows which step is being done while the block runs, of work whose length is not known.

    Args:
        work: What is being done.
    """
    if sys.stderr.isatty():
        from rich.markup import escape

        with make_console(stderr=True).status(work, spinner="dots") as status:
            yield lambda step: status.update(escape(step))
    else:
        began_s = monotonic()
        yield lambda step: say(f"inferox: {monotonic() - began_s:.0f} s: {step}", err=True)


@contextmanager
def _bar() -> Iterator[Show]:
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=make_console(stderr=True), transient=True) as bar:
        task = bar.add_task("opening the package", total=None)
        yield lambda what, done, total: bar.update(task, completed=done, total=total, description=escape(what))


def _lines() -> Show:
    began_s = monotonic()
    told_s = float("-inf")

    def show(what: str, done: float, total: float) -> None:
        nonlocal told_s
        now_s = monotonic()
        if now_s - told_s >= _EVERY_S:
            told_s = now_s
            share = f"{100 * done / total:.0f}%" if total else "0%"
            say(f"inferox: {now_s - began_s:.0f} s, {share}: {what}", err=True)

    return show
