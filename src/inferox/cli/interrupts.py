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
    """Remembers inside the block that the user interrupted the process, besides raising ``KeyboardInterrupt``.

    An exception that is raised while Python runs a finaliser, or in a library that catches everything, is lost, and
    with it the user's wish. ``interruptible`` looks for what was remembered.
    """
    previous = signal.getsignal(signal.SIGINT)
    # A shell has its background jobs ignore interrupts, which stays so; and only the main thread may set handlers.
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
    """Makes each report of progress a place at which an interrupt that was lost is raised again.

    Args:
        report: Told what is being done.

    Returns:
        The same, which raises ``KeyboardInterrupt`` if the user interrupted the process before.
    """

    def checked(*args: Params.args, **kwargs: Params.kwargs) -> None:
        if _pending.is_set():
            raise KeyboardInterrupt
        report(*args, **kwargs)

    return checked


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    _pending.set()
    raise KeyboardInterrupt
