"""The conversion of items for sending to a worker, and the errors for those that cannot be sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inferox.core import RequestError
from inferox.engine.workers.codec import to_image_file
from inferox.tasks.image_file import ImageFile
from inferox.tasks.texts import check_texts_or_pairs

_CHARACTERS_PER_TOKEN = 4
"""The approximate number of characters per token; nothing is tokenised here."""

_BYTES_PER_TOKEN = 256
"""The approximate number of bytes of an image file per token."""

_SENT_AS_THEY_ARE = frozenset({str, bytes, bytearray, memoryview, tuple, list, dict, np.ndarray, int, float, bool})


def to_sendable(items: Any) -> Any:
    """Converts items for sending, as msgpack would change the types of some.

    Args:
        items: The items: a list, or an array.

    Raises:
        TypeError: If an item is of a type that does not exist in another process.
    """
    if isinstance(items, np.ndarray):
        return items.tolist() if items.dtype == object else items
    if _SENT_AS_THEY_ARE.issuperset(map(type, items)):
        return items if isinstance(items, list) else list(items)
    return [item if type(item) in _SENT_AS_THEY_ARE else _to_sendable(item) for item in items]


def explain(error: Exception, items: Sequence[Any]) -> RequestError:
    """Makes the error for items that cannot be sent, as close as possible to a worker's own error for them.

    Args:
        error: The error of sending them.
        items: The items.
    """
    if isinstance(error, UnicodeEncodeError):
        try:
            check_texts_or_pairs(items)
        except RequestError as found:
            return found
    if isinstance(error, OverflowError):
        return RequestError("an integer among the items has more than 64 bits", hint="no model takes such numbers")
    return RequestError(
        f"the items cannot be sent to a worker process: {error}",
        hint="send texts, bytes, arrays of numbers, and lists and dicts of them; an image as the bytes of its file",
    )


def estimate_tokens(item: Any) -> int:
    """Estimates the number of an item's tokens without tokenising it.

    Args:
        item: The item.
    """
    if isinstance(item, str):
        return 1 + len(item) // _CHARACTERS_PER_TOKEN
    if isinstance(item, bytes | bytearray | memoryview):
        return 1 + len(item) // _BYTES_PER_TOKEN
    if isinstance(item, tuple | list) and any(isinstance(part, str) for part in item):
        return sum(map(estimate_tokens, item))
    return len(item) if hasattr(item, "__len__") else 1


def _to_sendable(item: Any) -> Any:
    if isinstance(item, ImageFile):
        return to_image_file(item)
    if isinstance(item, str):
        return str.__str__(item)
    if isinstance(item, Mapping):
        return dict(item)
    if item is None or isinstance(item, np.generic):
        return item
    if hasattr(item, "__array__") and not hasattr(item, "getexif"):
        return np.asarray(item)
    raise TypeError(f"an item of the type {type(item).__name__} cannot leave this process")
