"""The joint encoding of items from several coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from inferox.core import InferoxError, Signature
from inferox.engine.encoding import Encoding
from inferox.engine.request import RequestOptions
from inferox.engine.thread_start import run_beside
from inferox.engine.unexpected import to_failure
from inferox.engine.watch import Watch
from inferox.tasks import Task

_SHORT_CHARACTERS = 10_000
"""The most characters that are tokenised on the event loop's thread at a time: about 5 ms."""


class TickEncoder:
    """Encodes the items of coroutines within one tick of their event loop together, which is faster.

    Args:
        signature: The model's signature.
        watch: Told of rows that are encoded.
    """

    def __init__(self, signature: Signature, watch: Watch) -> None:
        self._signature = signature
        self._watch = watch
        self._pending: dict[tuple[asyncio.AbstractEventLoop, Task], list[_Asked]] = {}

    async def encode(self, task: Task, items: Sequence[Any], options: RequestOptions) -> tuple[Encoding, range]:
        """Encodes items, away from the event loop's thread if that may take long.

        Args:
            task: The task that encodes them.
            items: The items.
            options: The options of the request.

        Returns:
            The encoded rows, and the range of those that belong to the items.

        Raises:
            RequestError: If an item cannot be computed.
        """
        loop = asyncio.get_running_loop()
        asked = _Asked(items, options, loop.create_future())
        if not _are_short_texts(items):
            return await run_beside(partial(self._make, task, [asked])), range(len(items))
        pending = self._pending.setdefault((loop, task), [])
        pending.append(asked)
        if len(pending) == 1:
            self._forget_closed_loops()
            loop.call_soon(self._encode_pending, loop, task)
        try:
            return await asked.future
        finally:
            del asked, pending  # the future has the error, whose traceback has this frame: a cycle of garbage

    def _encode_pending(self, loop: asyncio.AbstractEventLoop, task: Task) -> None:
        pending = [asked for asked in self._pending.pop((loop, task)) if not asked.future.done()]

        def settle(done: Callable[[], list[_Found]]) -> None:
            found: Sequence[_Found]
            try:
                found = done()
            except BaseException as error:
                found = [to_failure("encoding the items", error)] * len(pending)
                if isinstance(error, KeyboardInterrupt | SystemExit):
                    raise
            finally:
                for asked, own in zip(pending, found, strict=True):
                    _settle(asked.future, own)

        if _are_short_texts([item for asked in pending for item in asked.items]):
            settle(lambda: self._encode_all(task, pending))
            return
        try:
            away = loop.run_in_executor(None, self._encode_all, task, pending)
        except RuntimeError:  # no thread can be started
            settle(lambda: self._encode_all(task, pending))
        else:
            away.add_done_callback(lambda done: settle(done.result))

    def _encode_all(self, task: Task, pending: Sequence[_Asked]) -> list[_Found]:
        """Encodes the items of several callers together, or one by one if an item of one cannot be encoded."""
        try:
            encoding = self._make(task, pending)
        except InferoxError as error:
            if len(pending) == 1:
                return [error.with_traceback(None)]  # whose frames have the future that gets the error
            return [found for asked in pending for found in self._encode_all(task, [asked])]
        first, rows = 0, []
        for asked in pending:
            rows.append(range(first, first + len(asked.items)))
            first += len(asked.items)
        return [(encoding, some) for some in rows]

    def _make(self, task: Task, pending: Sequence[_Asked]) -> Encoding:
        items = [item for asked in pending for item in asked.items] if len(pending) > 1 else pending[0].items
        with self._watch.making([asked.options for asked in pending], items):
            return Encoding.of(task, items, self._signature)

    def _forget_closed_loops(self) -> None:
        for key in list(self._pending):  # a copy, as loops of other threads add theirs meanwhile
            if key[0].is_closed():
                self._pending.pop(key, None)


def _settle(future: asyncio.Future[tuple[Encoding, range]], found: _Found) -> None:
    """Delivers rows or an error to a coroutine, unless it is gone."""
    if future.done():
        return
    if isinstance(found, InferoxError):
        future.set_exception(found)
    else:
        future.set_result(found)


@dataclass(frozen=True, eq=False)
class _Asked:
    items: Sequence[Any]
    options: RequestOptions
    future: asyncio.Future[tuple[Encoding, range]]


_Found = tuple[Encoding, range] | InferoxError


def _are_short_texts(items: Sequence[Any]) -> bool:
    characters = 0
    for item in items:
        parts = (item,) if isinstance(item, str) else item
        if not isinstance(parts, tuple | list) or not all(isinstance(part, str) for part in parts):
            return False
        characters += sum(map(len, parts))
        if characters > _SHORT_CHARACTERS:
            return False
    return True
