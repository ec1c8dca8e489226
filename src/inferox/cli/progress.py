"""How far commands are, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

from inferox.cli.terminal import say

if TYPE_CHECKING:
    from inferox.bulk import Watcher

ShowSteps = Callable[[str, float, float], None]
"""Told what is being done, how many steps are done, and how many there are: infinity where that is not known."""

_ROWS_EVERY_S = 5.0
_LOOK_EVERY_S = 0.1


@contextmanager
def showing_progress(first: str, *, plan: str | None = None) -> Iterator[ShowSteps]:
    """Shows how far work is while the block runs.

    Args:
        first: What is done first.
        plan: What is going to be done, and how long it may take, which is said at once; ``None`` to say nothing.
    """
    from inferox.loading.progress_display import showing

    if plan is not None:
        say(f"inferox: {plan}", err=True)
    with showing(first) as show:
        yield lambda what, done, total: show(what, done / total if total else 0.0)


@contextmanager
def showing_steps(work: str) -> Iterator[Callable[[str], None]]:
    """Shows which step is being done while the block runs, of work whose length is not known.

    Args:
        work: What is being done.
    """
    from inferox.loading.progress_display import showing

    with showing(work, every_s=0.0) as show:
        yield lambda step: show(step, None)


@contextmanager
def showing_items() -> Iterator[Callable[[int], None]]:
    """Shows how many items are done while the block runs, of which nobody knows how many there are.

    Yields:
        What is told how many are done.
    """
    from inferox.core import counted
    from inferox.loading.progress_display import showing

    with showing("running", every_s=_ROWS_EVERY_S, is_patient=True) as show:
        yield lambda done: show(counted(done, "item"), None)


@contextmanager
def watching() -> Iterator[Watcher]:
    """Shows how far a bulk run is while the block runs, from the moment at which the run begins."""
    from inferox.bulk import Watcher
    from inferox.loading.progress_display import showing

    watcher, ended = Watcher(), Event()

    def look() -> None:
        with showing("opening the input", every_s=_ROWS_EVERY_S) as show:
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
