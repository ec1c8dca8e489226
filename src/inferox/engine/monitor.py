"""A condition that can be used on threads that are interrupted."""

from __future__ import annotations

from operator import attrgetter
from threading import Condition


class Monitor(Condition):
    """A condition whose lock is never left held by an interrupt.

    ``Condition.__enter__`` is Python code: a ``KeyboardInterrupt`` can be raised in it when the lock is already held,
    but the block that releases it has not begun. The lock's own method is not interrupted.
    """

    __enter__ = property(attrgetter("_lock.__enter__"))
    __exit__ = property(attrgetter("_lock.__exit__"))
