"""Python's garbage collector, which stops every thread of a process while it looks through the objects."""

from __future__ import annotations

import gc


def exempt_objects() -> None:
    """Removes garbage, and exempts all objects that are left from later collections.

    For objects that are there to stay, such as modules: a full collection visits all objects, and nothing else happens
    meanwhile. Exempt objects are still freed as soon as nothing refers to them, but not if they refer to each other.
    """
    gc.collect()
    gc.freeze()
