"""How far a bulk run is, on standard error: a bar on a terminal, elsewhere a line every few seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, TextIO

from inferox.cli.terminal import make_console

if TYPE_CHECKING:
    from inferox.bulk import Watcher

_FIRST_S, _EVERY_S = 1.0, 5.0
_BAR_EVERY_S = 0.2


@contextmanager
def watching(stream: TextIO) -> Iterator[Watcher]:
    """Shows how far a run is while the block runs, from the moment at which the run begins.

    Args:
        stream: Standard error.
    """
    from inferox.bulk import Watcher

    watcher, ended = Watcher(), Event()
    show = _show_bar if stream.isatty() else _show_lines
    thread = Thread(target=show, args=(watcher, ended, stream), daemon=True)
    thread.start()
    try:
        yield watcher
    finally:
        ended.set()
        thread.join()


def _show_lines(watcher: Watcher, ended: Event, stream: TextIO) -> None:
    told_s, wait_s = monotonic(), 0.05
    while not ended.wait(wait_s):
        if watcher.is_running and (wait_s < _FIRST_S or monotonic() - told_s >= wait_s):
            wait_s = _EVERY_S if wait_s >= _FIRST_S else _FIRST_S
            told_s = monotonic()
            stream.write(f"inferox: {watcher.describe()}\n")
            stream.flush()


def _show_bar(watcher: Watcher, ended: Event, _stream: TextIO) -> None:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=make_console(stderr=True), transient=True) as progress:
        bar = progress.add_task("opening the input", total=None)
        while not ended.wait(_BAR_EVERY_S):
            if watcher.is_running:
                share = watcher.share
                progress.update(
                    bar, total=None if share is None else 1.0, completed=share, description=watcher.describe()
                )
