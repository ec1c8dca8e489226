"""The items of a call, in whatever a caller holds them: lists, iterators, and columns of other libraries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from inferox.core import RequestError

_TO_LIST = ("to_pylist", "to_list")
"""The methods with which the columns of pyarrow, pandas and Polars become lists of Python objects."""


def as_list(items: Any) -> Sequence[Any]:
    """Returns a list, a tuple or an array unchanged, and reads other items into a list.

    Args:
        items: The caller's items.

    Raises:
        RequestError: If they have no order, or are not several: a table, a set, a mapping or a single value.
    """
    _check_several(items)
    for method in _TO_LIST:
        if hasattr(items, method):
            read: list[Any] = getattr(items, method)()
            return read
    # A generator or an open file can be read only once, but items are read twice.
    return items if isinstance(items, Sequence) or hasattr(items, "__array__") else list(items)


def iterate_items(items: Any) -> Iterator[Any]:
    """Iterates over items without reading all of them first; see ``as_list``.

    Args:
        items: The caller's items.

    Raises:
        RequestError: As for ``as_list``.
    """
    _check_several(items)
    # The elements of pyarrow's arrays are not Python objects.
    return (item.as_py() for item in items) if hasattr(items, "to_pylist") else iter(items)


def refuse_single(items: Any, expected: str) -> None:
    """Refuses a single text or bytes, whose items would be characters or numbers.

    Args:
        items: The caller's items.
        expected: What is expected, such as ``a list of texts``.

    Raises:
        RequestError: If it is one.
    """
    if isinstance(items, str):
        raise RequestError(f"expected {expected}, but got a single one", hint="put it in a list")
    if isinstance(items, bytes | bytearray | memoryview):
        raise RequestError(
            f"expected {expected}, but got a single value of the type {type(items).__name__}",
            hint="put it in a list, and where a text is meant, decode it: str(data, 'utf-8')",
        )


def _check_several(items: Any) -> None:
    kind = type(items).__name__
    if hasattr(items, "columns"):  # pandas, Polars and pyarrow call it that
        raise RequestError(
            f"expected a list of items, but got a table of the type {kind}", hint="give one of its columns"
        )
    is_iterable = hasattr(items, "__array__") or isinstance(items, Iterable)
    if not is_iterable or getattr(items, "ndim", 1) == 0 or isinstance(items, set | frozenset | Mapping):
        raise RequestError(f"expected a list of items, but got a value of the type {kind}", hint="give a list")
