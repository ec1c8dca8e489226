"""Streams: answers to many items, with only a few in memory at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import islice
from time import sleep
from typing import Any

from inferox.core import InferoxError, OverloadedError, counting_items_from, positive_integer
from inferox.engine.answer import Answer
from inferox.engine.request import RequestOptions
from inferox.tasks.given_items import iterate_items, refuse_single
from inferox.tasks.truncation import StreamTruncation

_AHEAD = 4
"""The number of a stream's requests in flight at a time, so that the model never waits."""

_DEFAULT_WAIT_S, _MOST_WAIT_S = 0.01, 1.0
"""The seconds that a stream waits before it retries a refused request: if the error states none, and at most."""


def stream_results(
    items: Iterable[Any], admit: Callable[[Sequence[Any]], Future[Answer]], options: RequestOptions, chunk: int
) -> Iterator[Any]:
    """Computes items in order, reading no more of them than needed to keep the model busy.

    Args:
        items: The items.
        admit: Submits some items to the model, and returns the future of their answer.
        options: The options of the requests.
        chunk: The number of items per request.

    Yields:
        The result of each item.

    Raises:
        ConfigError: If ``chunk`` is not a positive integer.
        RequestError: If the items are a single text.
        InferoxError: The error of a request; its ``item`` counts from the first item of the stream.
        Exception: Whatever the items' source raises, after the results of those that it gave.
    """
    refuse_single(items, "several items")
    return _stream(iterate_items(items), admit, options, positive_integer("chunk", chunk))


def _stream(
    source: Iterator[Any], admit: Callable[[Sequence[Any]], Future[Answer]], options: RequestOptions, chunk: int
) -> Iterator[Any]:
    running, first, has_failed = deque[tuple[Sequence[Any], Future[Answer]]](), 0, False
    reader = _Reader(source, chunk)
    with StreamTruncation(options.truncate) as cut:
        try:
            while (some := [] if has_failed else reader.read()) or running:
                if some:
                    running.append((some, _try_to_admit(admit, some)))
                    has_failed = _has_failed(running[-1][1])
                if some and not has_failed and len(running) < _AHEAD:
                    continue
                try:
                    with counting_items_from(first):
                        answer = running[0][1].result()
                except OverloadedError as error:
                    # A worker process refuses a request only once it has received it.
                    _pause(error)
                    running[0] = running[0][0], _try_to_admit(admit, running[0][0])
                    continue
                running.popleft()
                cut.add(answer.cut_tokens)
                yield from answer.results
                first += len(answer.results)
            if reader.error is not None:
                raise reader.error
        finally:
            for _, future in running:  # the consumer has stopped reading
                future.cancel()


class _Reader:
    """Reads a stream's items. An error of their source comes after the results of what it gave before.

    Args:
        source: The items.
        chunk: The number of items to read at a time.

    Attributes:
        error: The error of the source; ``None`` as long as there is none.
    """

    def __init__(self, source: Iterator[Any], chunk: int) -> None:
        self.error: Exception | None = None
        self._source, self._chunk = source, chunk

    def read(self) -> list[Any]:
        """Reads the next items; none at the end, and once the source has failed."""
        some: list[Any] = []
        try:
            if self.error is None:
                some.extend(islice(self._source, self._chunk))
        except Exception as error:  # noqa: BLE001 - raised in its turn
            self.error = error
        return some


def _try_to_admit(admit: Callable[[Sequence[Any]], Future[Answer]], some: Sequence[Any]) -> Future[Answer]:
    """Submits items; their error is raised in its turn, after the results of earlier items."""
    while True:
        try:
            return admit(some)
        except OverloadedError as error:
            _pause(error)
        except InferoxError as error:
            failed: Future[Answer] = Future()
            failed.set_exception(error)
            return failed


def _has_failed(future: Future[Answer]) -> bool:
    return future.done() and not isinstance(future.exception(), OverloadedError | None)


def _pause(error: OverloadedError) -> None:
    """Waits after a refused request: a stream is in no hurry."""
    sleep(min(error.retry_after_s or _DEFAULT_WAIT_S, _MOST_WAIT_S))
