"""Items made into rows, those of several coroutines together."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from inferox.batching import group_alike
from inferox.core import Batch, InferoxError, Signature, check_batch
from inferox.tasks import Task

_CALLS = "calls"
"""The one input of rows whose items are whole calls, which no batch is made of."""

_SHORT_CHARACTERS = 10_000
"""Up to how many characters the texts of a request are tokenised on the thread of the event loop: some 2 ms."""


@dataclass(frozen=True, eq=False)
class Encoding:
    """Items, and the rows that were made of them.

    Attributes:
        task: What made them, and reads their answers.
        items: The items, one for each row.
        batch: The rows.
        groups: The rows that may share a batch, by what is alike in them.
    """

    task: Task
    items: Sequence[Any]
    batch: Batch
    groups: Mapping[Hashable, Sequence[int]]

    @classmethod
    def of(cls, task: Task, items: Sequence[Any], signature: Signature) -> Encoding:
        """Makes rows of items.

        Args:
            task: What makes them.
            items: The items.
            signature: What the model takes.

        Raises:
            RequestError: If an item cannot be computed.
        """
        batch = task.encode(items)
        check_batch(batch, signature)
        return cls(task, items, batch, group_alike(batch, signature))

    @classmethod
    def of_calls(cls, task: Task, calls: Sequence[Any]) -> Encoding:
        """Makes one row of calls that are computed by themselves.

        Args:
            task: What computes them.
            calls: The calls.
        """
        return cls(task, [calls], Batch.of_rows({_CALLS: np.empty(1)}), {object(): [0]})

    @cached_property
    def lengths(self) -> list[int]:
        """The tokens of each row."""
        lengths: list[int] = self.batch.lengths.tolist()
        return lengths


class TickEncoder:
    """Makes rows of what coroutines ask within one turn of their event loop together, which takes less time.

    Args:
        signature: What the model takes.
    """

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._pending: dict[tuple[asyncio.AbstractEventLoop, Task], list[_Asked]] = {}

    async def encode(self, task: Task, items: Sequence[Any]) -> tuple[Encoding, range]:
        """Makes rows of items; away from the thread of the event loop where that may take long.

        Args:
            task: What makes them.
            items: The items.

        Returns:
            Rows, and which of them are those of the items.

        Raises:
            RequestError: If an item cannot be computed.
        """
        loop = asyncio.get_running_loop()
        if not _are_short_texts(items):
            encoding = await loop.run_in_executor(None, Encoding.of, task, items, self._signature)
            return encoding, range(len(items))
        asked = _Asked(items, loop.create_future())
        pending = self._pending.setdefault((loop, task), [])
        pending.append(asked)
        if len(pending) == 1:
            loop.call_soon(self._encode_pending, loop, task)
        return await asked.future

    def _encode_pending(self, loop: asyncio.AbstractEventLoop, task: Task) -> None:
        pending = [asked for asked in self._pending.pop((loop, task)) if not asked.future.done()]
        try:
            encoding = Encoding.of(task, [item for asked in pending for item in asked.items], self._signature)
        except InferoxError:
            for asked in pending:
                self._encode_alone(task, asked)
            return
        first = 0
        for asked in pending:
            asked.future.set_result((encoding, range(first, first + len(asked.items))))
            first += len(asked.items)

    def _encode_alone(self, task: Task, asked: _Asked) -> None:
        try:
            asked.future.set_result((Encoding.of(task, asked.items, self._signature), range(len(asked.items))))
        except InferoxError as error:
            asked.future.set_exception(error)


@dataclass(frozen=True, eq=False)
class _Asked:
    items: Sequence[Any]
    future: asyncio.Future[tuple[Encoding, range]]


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
