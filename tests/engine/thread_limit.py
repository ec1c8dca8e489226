"""A system that has no more threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_TOO_LARGE = 1 << 47
"""The bytes of a stack for which no process has room."""


@contextmanager
def no_more_threads() -> Iterator[None]:
    """Lets no thread start within the block, as if the system had reached its limit."""
    before = threading.stack_size(_TOO_LARGE)
    try:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            threading.Thread(target=print).start()
        yield
    finally:
        threading.stack_size(before)
