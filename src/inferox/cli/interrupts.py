"""Interrupts that survive libraries: one that foreign code swallowed is raised again at the next step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import ParamSpec

Params = ParamSpec("Params")

_pending = threading.Event()


@contextmanager
def remembered_interrupts() -> Iterator[None]:
    """Remembers interrupts of the process within a block, besides raising ``KeyboardInterrupt``.

    An exception raised while Python runs a finalizer, or in a library that catches everything, is lost, and the
    interrupt with it. ``interruptible`` checks for remembered ones.
    """
    previous = signal.getsignal(signal.SIGINT)
    # A shell makes its background jobs ignore interrupts, which is kept; and only the main thread may set handlers.
    if previous is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield
        return
    _pending.clear()
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        _pending.clear()


def interruptible(report: Callable[Params, None]) -> Callable[Params, None]:
    """Makes each progress report a point at which a lost interrupt is raised again.

    Args:
        report: Reports progress.

    Returns:
        The same function, except that it raises ``KeyboardInterrupt`` if the process was interrupted before.
    """

    def checked(*args: Params.args, **kwargs: Params.kwargs) -> None:
        if _pending.is_set():
            raise KeyboardInterrupt
        report(*args, **kwargs)

    return checked


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    _pending.set()
    raise KeyboardInterrupt
