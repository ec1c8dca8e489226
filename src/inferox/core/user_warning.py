"""Warnings about the caller's own line, however deep within Inferox they are given."""

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
    """Gives a warning about the line outside Inferox that led to it.

    Python counts callers from where a warning is given, and that number differs with the way a call took.

    Args:
        warning: The warning.

    Raises:
        InferoxWarning: The warning, where the caller's filters make errors of warnings.
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
    """Collects the warnings of what a block starts in another thread, so that they can be given in the caller's own.

    The other thread must run in a copy of the context of this one, as coroutines do that are handed to an event loop.

    Yields:
        What gets the warnings.
    """
    postponed: list[InferoxWarning] = []
    token = _postponed.set(postponed)
    try:
        yield postponed
    finally:
        _postponed.reset(token)
