"""Warnings that point at the caller's own line, however deep within Inferox they are issued."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from inspect import currentframe

from inferox.core.error_root import InferoxWarning

_PACKAGE = __name__.partition(".")[0]

_postponed: ContextVar[list[InferoxWarning] | None] = ContextVar("inferox_postponed_warnings", default=None)


def warn_user(warning: InferoxWarning) -> None:
    """Issues a warning for the line outside Inferox that led to it.

    Python's ``stacklevel`` counts frames from where a warning is issued, which differ with the path a call took.

    Args:
        warning: The warning.

    Raises:
        InferoxWarning: The warning, if the caller's filters turn warnings into errors.
    """
    postponed = _postponed.get()
    if postponed is not None:
        postponed.append(warning)
        return
    level, frame = 1, currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        level, frame = level + 1, frame.f_back
    warnings.warn(warning, stacklevel=level)


@contextmanager
def postponing_warnings() -> Iterator[list[InferoxWarning]]:
    """Collects the warnings of work that a block starts in another thread, so that the caller's thread can issue them.

    The other thread must run in a copy of this one's context, as coroutines handed to an event loop do.

    Yields:
        The list that receives the warnings.
    """
    postponed: list[InferoxWarning] = []
    token = _postponed.set(postponed)
    try:
        yield postponed
    finally:
        _postponed.reset(token)
