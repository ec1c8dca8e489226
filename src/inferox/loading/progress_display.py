"""The progress display of long work: a bar on a terminal, elsewhere a line every few seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from inferox.core import printable

Show = Callable[[str, float | None], None]
"""A callback that takes the current step, and the share of the work done from 0 to 1; ``None`` if that is not known."""


@contextmanager
def showing(first: str, *, every_s: float = 3.0, is_patient: bool = False) -> Iterator[Show]:
    """Shows the progress of the block on standard error.

    Args:
        first: The first step, which a bar shows until it is updated.
        every_s: The least time between lines, in seconds, if there is no terminal. The end is shown at once, and once.
        is_patient: Whether the first line waits for that time as well, so that quick work shows nothing.
    """
    if sys.stderr is not None and sys.stderr.isatty():
        with _bar(first) as show:
            yield show
    else:
        yield _lines(every_s, is_patient=is_patient)


@contextmanager
def _bar(first: str) -> Iterator[Show]:
    # Importing Rich takes a fifth of the time of "import inferox", and few programs show a bar.
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(printable(first)), total=None)

        def show(what: str, share: float | None) -> None:
            total = None if share is None else 1.0
            bar.update(task, completed=share or 0.0, total=total, description=escape(printable(what)))

        yield show


def _lines(every_s: float, *, is_patient: bool) -> Show:
    began_s = monotonic()
    told_s = began_s if is_patient else float("-inf")
    was_end = False

    def show(what: str, share: float | None) -> None:
        nonlocal told_s, was_end
        now_s = monotonic()
        is_end = share is not None and share >= 1
        if sys.stderr is not None and (is_end > was_end or now_s - told_s >= every_s):
            told_s, was_end = now_s, is_end
            so_far = "" if share is None else f", {100 * share:.0f}%"
            sys.stderr.write(f"inferox: {now_s - began_s:.0f} s{so_far}: {printable(what)}\n")
            sys.stderr.flush()

    return show
