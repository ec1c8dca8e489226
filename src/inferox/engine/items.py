"""The items of a request, as its caller gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferox.core import RequestError
from inferox.tasks.task import as_list


def to_items(items: Any) -> Sequence[Any]:
    """Converts a caller's value to a list of items.

    Args:
        items: A list, or anything that can be read as one.

    Raises:
        RequestError: If it is a single item, or not a list.
    """
    if isinstance(items, str | bytes):
        raise RequestError("expected a list of items, but got a single one", hint="put it in a list")
    given = as_list(items)
    if getattr(given, "ndim", 1) == 0:
        raise RequestError("expected a list of items, but got an array without axes", hint="put it in a list")
    return given
