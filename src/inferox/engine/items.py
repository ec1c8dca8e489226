"""The items of a request, as its caller gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferox.tasks.given_items import as_list, refuse_single


def to_items(items: Any) -> Sequence[Any]:
    """Converts a caller's value to a list of items.

    Args:
        items: A list, or anything that can be read as one.

    Raises:
        RequestError: If it is a single item, or not a list.
    """
    refuse_single(items, "a list of items")
    return as_list(items)
