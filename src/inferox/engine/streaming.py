"""Many items, of which few are in memory at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import islice
from typing import Any

from inferox.core import InferoxError

_AHEAD = 4
"""How many requests of a stream are computed or wait at a time: enough that the model never waits for the reader."""


def stream_results(items: Iterable[Any], admit: Callable[[Sequence[Any]], Future[Any]], chunk: int) -> Iterator[Any]:
    """Answers items in their order, reading no more of them than are needed to keep the model busy.

    Args:
        items: The items.
        admit: Gives some items to the model, and returns what gets their results.
        chunk: How many items are one request.

    Yields:
        The result of each item.

    Raises:
        InferoxError: What a request fails with; ``item`` of the error counts from the first item of all.
    """
    source, running, first = iter(items), deque[Future[Any]](), 0
    try:
        while (some := list(islice(source, chunk))) or running:
            if some:
                running.append(admit(some))
            if some and len(running) < _AHEAD:
                continue
            try:
                results = running.popleft().result()
            except InferoxError as error:
                if error.item is not None:
                    error.item += first
                raise
            yield from results
            first += len(results)
    finally:
        for future in running:  # nobody reads on
            future.cancel()
