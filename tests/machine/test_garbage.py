"""Objects that are exempt from garbage collections."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from inferox.machine.garbage import collect_exempt, exempt_objects


class Knot:
    """An object that refers to itself."""

    def __init__(self) -> None:
        self.itself: Knot | None = self


@pytest.fixture(autouse=True)
def exempt() -> Iterator[None]:
    """Ends what the tests exempt."""
    yield
    gc.unfreeze()


def test_what_is_garbage_is_removed_first() -> None:
    seen = weakref.ref(Knot())
    exempt_objects()
    assert seen() is None
    assert gc.get_freeze_count() > 0


def test_garbage_among_exempt_objects_is_found_on_request() -> None:
    knot: Knot | None = Knot()
    assert knot is not None
    seen = weakref.ref(knot)
    exempt_objects()
    knot = None
    gc.collect()
    assert seen() is not None
    collect_exempt()
    assert seen() is None
    assert gc.get_freeze_count() > 0


def test_what_nothing_refers_to_is_freed_without_a_collection() -> None:
    knot: Knot | None = Knot()
    assert knot is not None
    seen = weakref.ref(knot)
    exempt_objects()
    knot.itself = None
    knot = None
    assert seen() is None
