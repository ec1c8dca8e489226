"""Objects that are exempt from garbage collections."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from inferox.machine.garbage import exempt_objects


class Knot:
    """An object that refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def exempt() -> Iterator[None]:
    """Lets the tests begin without exempt objects, and ends as all tests are run: with those of the modules."""
    gc.unfreeze()
    yield
    gc.unfreeze()
    gc.collect()
    gc.freeze()


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
