"""Objects that are exempt from garbage collections."""

from __future__ import annotations

import gc
import weakref

from inferox.machine.garbage import exempt_objects


class Knot:
    """An object that refers to itself."""

    def __init__(self) -> None:
        self.itself = self


def test_what_is_garbage_is_removed_first() -> None:
    seen = weakref.ref(Knot())
    exempt_objects()
    assert seen() is None


def test_what_is_left_is_in_no_later_collection() -> None:
    knot: Knot | None = Knot()
    assert knot is not None
    seen = weakref.ref(knot)
    exempt_objects()
    knot = None
    gc.collect()
    assert seen() is not None
