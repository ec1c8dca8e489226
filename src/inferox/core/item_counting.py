"""Errors of a part of a caller's items, which name an item by its index among all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from inferox.core.error_root import InferoxError


@contextmanager
def counting_items_from(first: int) -> Iterator[None]:
    """Has the errors of a block that works on a part of the items count from the first item of all.

    Args:
        first: The index of the part's first item.

    Raises:
        InferoxError: The error of the block; if it names an item of the part, a copy that names it among all items.
    """
    try:
        yield
    except InferoxError as error:
        if error.item is None or not first:
            raise
        raise error.at_item(error.item + first) from error.__cause__
