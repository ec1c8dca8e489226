"""Python's garbage collector, which stops every thread of a process while it looks through the objects."""

from __future__ import annotations

import gc


def exempt_objects() -> None:
    """Removes garbage, and exempts all objects that are left from later collections.

    For a process whose objects are there to stay: a full collection visits all of them, modules included, and nothing
    else happens meanwhile. In a server beside computations on all cores that takes 20 to 50 ms, every few seconds.
    What is exempt is still freed as soon as nothing refers to it; only ``collect_exempt`` finds garbage in cycles.
    """
    gc.collect()
    gc.freeze()


def collect_exempt() -> None:
    """Removes garbage among the exempt objects too, such as the cycles of a closed model; the rest stays exempt."""
    gc.unfreeze()
    exempt_objects()
