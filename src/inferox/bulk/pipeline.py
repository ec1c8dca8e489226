"""A pipeline of concurrent steps, each in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextvars import copy_context
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Self, TypeVar

T = TypeVar("T")

_POLL_S = 0.05


class StoppedError(Exception):
    """The pipeline has ended: nobody wants the results."""


class Pipeline:
    """Concurrent steps. When the ``with`` block ends, all of them have ended."""

    def __init__(self) -> None:
        self._stopped = Event()
        self._threads: list[Thread] = []

    def check(self) -> None:
        """Ends the calling step if the pipeline has ended.

        Raises:
            StoppedError: If it has.
        """
        if self._stopped.is_set():
            raise StoppedError

    def ahead(self, items: Iterable[T], *, name: str = "step", depth: int = 1) -> Iterator[T]:
        """Makes items in a thread of its own, while the caller works on earlier ones.

        Args:
            items: The items.
            name: The name of the thread.
            depth: The number of items made in advance.

        Yields:
            The items, in order. Exceptions of making them are raised here.
        """
        made: Queue[tuple[T | None, BaseException | None]] = Queue(depth)
        run = copy_context().run
        thread = Thread(target=run, args=(self._fill, items, made), name=f"inferox-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()
        while True:
            item, error = self._get(made)
            if error is not None:
                if isinstance(error, StopIteration):
                    return
                raise error
            yield item  # type: ignore[misc] # without an error there is an item

    def _get(self, made: Queue[tuple[T | None, BaseException | None]]) -> tuple[T | None, BaseException | None]:
        while True:
            try:
                return made.get(timeout=_POLL_S)
            except Empty:
                self.check()

    def _fill(self, items: Iterable[T], made: Queue[tuple[T | None, BaseException | None]]) -> None:
        try:
            for item in items:
                self._put(made, (item, None))
            self._put(made, (None, StopIteration()))
        except StoppedError:
            return
        except BaseException as error:  # noqa: BLE001 - raised again where the items are used
            try:
                self._put(made, (None, error))
            except StoppedError:
                return

    def _put(
        self, made: Queue[tuple[T | None, BaseException | None]], item: tuple[T | None, BaseException | None]
    ) -> None:
        while True:
            self.check()
            try:
                made.put(item, timeout=_POLL_S)
            except Full:
                continue
            return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
