"""The progress of commands, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

from inferox.cli.terminal import say

if TYPE_CHECKING:
    from inferox.bulk import Watcher

ShowSteps = Callable[[str, float, float], None]
"""Called with the current step, the number of steps done, and their total: infinity if unknown."""

_ROWS_EVERY_S = 5.0
_LOOK_EVERY_S = 0.1


@contextmanager
def showing_progress(first: str, *, plan: str | None = None) -> Iterator[ShowSteps]:
    """Shows the progress of work while the block runs.

    Args:
        first: The first step.
        plan: The plan, with its duration, which is printed at once; ``None`` to print nothing.

    Yields:
        The function that reports steps.
    """
    from inferox.loading.progress_display import showing

    if plan is not None:
        say(f"inferox: {plan}", err=True)
    with showing(first) as show:
        yield lambda what, done, total: show(what, done / total if total else 0.0)


@contextmanager
def showing_steps(work: str) -> Iterator[Callable[[str], None]]:
    """Shows the current step while the block runs, for work of unknown length.

    Args:
        work: The name of the work.

    Yields:
        The function that reports steps.
    """
    from inferox.loading.progress_display import showing

    with showing(work, every_s=0.0) as show:
        yield lambda step: show(step, None)


@contextmanager
def showing_items() -> Iterator[Callable[[int], None]]:
    """Shows the number of finished items while the block runs, when their total is unknown.

    Yields:
        The function that reports the number of finished items.
    """
    from inferox.core import counted
    from inferox.loading.progress_display import showing

    with showing("running", every_s=_ROWS_EVERY_S, is_patient=True) as show:
        yield lambda done: show(counted(done, "item"), None)


@contextmanager
def watching() -> Iterator[Watcher]:
    """Shows the progress of a bulk run while the block runs, from the start of the run."""
    from inferox.bulk import Watcher
    from inferox.loading.progress_display import showing

    watcher, ended = Watcher(), Event()

    def look() -> None:
        with showing("opening the input", every_s=_ROWS_EVERY_S, is_patient=True) as show:
            while not ended.wait(_LOOK_EVERY_S):
                if watcher.is_running:
                    show(watcher.describe(), watcher.share)

    thread = Thread(target=look, daemon=True)
    thread.start()
    try:
        yield watcher
    finally:
        ended.set()
        thread.join()
