"""The progress display of long work: a bar on a terminal, elsewhere a line every few seconds."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread
from time import monotonic

from inferox.core import printable

Show = Callable[[str, float | None], None]
"""A callback that takes the current step, and the share of the work done from 0 to 1; ``None`` if that is not known."""

_SILENT_FOR_S = 5.0
"""The time after which the current step is told again, in seconds."""

_LOOK_EVERY_S = 1.0


@contextmanager
def showing(first: str, *, every_s: float = 3.0, is_patient: bool = False) -> Iterator[Show]:
    """Shows the progress of the block on standard error.

    Args:
        first: The first step, which a bar shows until it is updated.
        every_s: The least time between lines, in seconds, if there is no terminal. The end is shown at once, and once.
            A step that takes longer than some seconds is shown again.
        is_patient: Whether the first line waits for that time as well, so that quick work shows nothing.
    """
    if sys.stderr is not None and sys.stderr.isatty():
        with _bar(first) as show:
            yield show
    else:
        with _lines(first, every_s, is_patient=is_patient) as show:
            yield show


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


@contextmanager
def _lines(first: str, every_s: float, *, is_patient: bool) -> Iterator[Show]:
    lines, ended = _Lines(first, every_s, is_patient=is_patient), Event()

    def look() -> None:
        while not ended.wait(_LOOK_EVERY_S):
            lines.remind()

    thread = Thread(target=look, name="inferox-progress", daemon=True)
    thread.start()
    try:
        yield lines.show
    finally:
        ended.set()
        thread.join()


class _Lines:
    """Lines about steps: not more often than asked for, and the current step again if it takes long."""

    def __init__(self, first: str, every_s: float, *, is_patient: bool) -> None:
        self._every_s = every_s
        self._began_s = monotonic()
        self._told_s = self._began_s if is_patient else float("-inf")
        self._was_end = False
        self._latest: tuple[str, float | None] = (first, None)
        self._lock = Lock()

    def show(self, what: str, share: float | None) -> None:
        """Tells a step, if the last line is long enough ago or this is the end."""
        with self._lock:
            self._latest = what, share
            is_end = share is not None and share >= 1
            if is_end > self._was_end or monotonic() - self._told_s >= self._every_s:
                self._was_end = is_end
                self._tell()

    def remind(self) -> None:
        """Tells the current step again if nothing has been told for long."""
        with self._lock:
            if not self._was_end and monotonic() - max(self._told_s, self._began_s) >= _SILENT_FOR_S:
                self._tell()

    def _tell(self) -> None:
        what, share = self._latest
        self._told_s = monotonic()
        if sys.stderr is not None:
            so_far = "" if share is None else f", {math.floor(100 * share)}%"
            sys.stderr.write(f"inferox: {self._told_s - self._began_s:.0f} s{so_far}: {printable(what)}\n")
            sys.stderr.flush()
