"""Items made into rows, those of several coroutines together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.batching import group_alike
from inferox.core import (
    Batch,
    ConfigError,
    InferoxError,
    Signature,
    Stopwatch,
    check_batch,
)
from inferox.engine.unexpected import to_failure
from inferox.tasks import RawTask, Task

_CALLS = "calls"
"""The one input of rows whose items are whole calls, which no batch is made of."""

_NUMBERS_PER_TOKEN = 768
"""How many floating-point numbers count as a token: as many as a patch of 16 by 16 pixels in three colours."""

_DIGEST_BYTES = 16
"""As many as make it impossible in practice that two rows of an owner have the same digest and differ."""

_MADE = np.empty(0)
"""What stands for an input that a batch does not bring: the mask, which its lengths say."""

_SHORT_CHARACTERS = 10_000
"""Up to how many characters are tokenised on the thread of the event loop at a time: some 5 ms."""


@dataclass(frozen=True, eq=False)
class Encoding:
    """Items, and the rows that were made of them.

    Attributes:
        task: What made them, and reads their answers.
        items: The items, one for each row.
        batch: The rows.
        lengths: The tokens of each row; of one that has none, as many as have about as many numbers.
        groups: The rows that may share a batch, by what is alike in them.
        made: When the rows were made.
    """

    task: Task
    items: Sequence[Any]
    batch: Batch
    lengths: Sequence[int]
    groups: Mapping[Hashable, Sequence[int]]
    made: Stopwatch

    @classmethod
    def of(cls, task: Task, items: Sequence[Any], signature: Signature) -> Encoding:
        """Makes rows of items.

        Args:
            task: What makes them.
            items: The items.
            signature: What the model takes.

        Raises:
            RequestError: If an item cannot be computed.
            ExecutionError: If the task raises anything else.
        """
        began_s = time.monotonic()
        try:
            batch = task.encode(items)
            _refuse_if_uneven(task, len(batch), len(items))
            check_batch(batch, signature)
            lengths = batch.lengths.tolist() if batch.ragged else _price_rows(batch, signature)
            groups = group_alike(batch, signature)
        except InferoxError:
            raise
        except Exception as error:
            raise to_failure("making rows of the items", error) from error
        return cls(task, items, batch, lengths, groups, Stopwatch(began_s, time.monotonic()))

    @classmethod
    def of_calls(cls, task: RawTask, items: Sequence[Any]) -> Encoding:
        """Makes a row of each of some calls, which are computed by themselves.

        Args:
            task: What computes them.
            items: The calls.

        Raises:
            RequestError: If a call does not fit the signature.
        """
        began_s = time.monotonic()
        calls = task.read_calls(items)
        batch = Batch.of_rows({_CALLS: np.empty(len(calls))})
        lengths = [max(1, *map(_count_tokens, call.values())) for call in calls]
        groups: dict[Hashable, Sequence[int]] = {_CALLS: range(len(calls))}
        return cls(task, calls, batch, lengths, groups, Stopwatch(began_s, time.monotonic()))

    def group_rows(self, rows: Sequence[int]) -> dict[Hashable, list[int]]:
        """Some of the rows, by group.

        Args:
            rows: The rows.
        """
        if len(self.groups) == 1:
            return {key: list(rows) for key in self.groups if rows}
        grouped: dict[Hashable, list[int]] = {}
        for row in rows:
            grouped.setdefault(self._groups_of_rows[row], []).append(row)
        return grouped

    def group_of(self, row: int) -> Hashable:
        """The group of a row.

        Args:
            row: The row.
        """
        return next(iter(self.groups)) if len(self.groups) == 1 else self._groups_of_rows[row]

    def digest(self, rows: range, inputs: Sequence[str]) -> list[bytes] | None:
        """A digest of each row: rows of the same digest have the same answer.

        Args:
            rows: The rows.
            inputs: The names of the model's inputs.

        Returns:
            The digests; ``None`` where the answer may depend on something else.
        """
        if isinstance(self.task, RawTask):
            return None
        if not self.task.reads_items:
            return [_digest(self.batch, row, inputs) for row in rows]
        if not all(isinstance(self.items[row], str) for row in rows):
            return None
        return [_digest(self.batch, row, inputs, self.items[row]) for row in rows]

    @cached_property
    def _groups_of_rows(self) -> dict[int, Hashable]:
        return {row: key for key, rows in self.groups.items() for row in rows}


def _refuse_if_uneven(task: Task, rows: int, items: int) -> None:
    if rows != items:
        raise ConfigError(f"the task {task.name} makes {rows} rows of {items} items, not one of each")


def _digest(batch: Batch, row: int, inputs: Sequence[str], text: str = "") -> bytes:
    digest = blake2b(text.encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES)
    first, after = batch.cu_seqlens[row : row + 2]
    for name in inputs:
        array = batch.ragged[name][first:after] if name in batch.ragged else batch.dense.get(name, _MADE)[row : row + 1]
        if array.dtype == object:
            array = array[0]
        digest.update(f"{len(text)} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.digest()


def _price_rows(batch: Batch, signature: Signature) -> list[int]:
    """The tokens that rows without any count as."""
    prices = np.ones(len(batch), dtype=np.int64)
    for array in (batch.dense[name] for name in signature.input_names if len(batch)):
        of_rows = list(map(_count_tokens, array)) if array.dtype == object else _count_tokens(array[0])
        prices = np.maximum(prices, of_rows)
    counted: list[int] = prices.tolist()
    return counted


def _count_tokens(array: npt.NDArray[Any]) -> int:
    """The tokens that an array counts as: the whole numbers of a row may each be one."""
    return array.size if array.dtype.kind in "iub" else -(-array.size // _NUMBERS_PER_TOKEN)


class TickEncoder:
    """Encodes together what coroutines ask for within one turn of their event loop, which takes less time.

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
            self._forget_closed_loops()
            loop.call_soon(self._encode_pending, loop, task)
        return await asked.future

    def _encode_pending(self, loop: asyncio.AbstractEventLoop, task: Task) -> None:
        pending = [asked for asked in self._pending.pop((loop, task)) if not asked.future.done()]

        def settle(done: Callable[[], list[_Found]]) -> None:
            found: Sequence[_Found]
            try:
                found = done()
            except Exception as error:  # noqa: BLE001 - given to whoever asked
                found = [to_failure("making rows of the items", error)] * len(pending)
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
        """Makes rows of what several asked together, or one by one where an item of somebody cannot be computed."""
        found = self._encode_one(task, [item for asked in pending for item in asked.items])
        if isinstance(found, InferoxError):
            if len(pending) == 1:
                return [found]
            return [self._encode_one(task, asked.items) for asked in pending]
        encoding, first, rows = found[0], 0, []
        for asked in pending:
            rows.append(range(first, first + len(asked.items)))
            first += len(asked.items)
        return [(encoding, some) for some in rows]

    def _encode_one(self, task: Task, items: Sequence[Any]) -> _Found:
        try:
            return Encoding.of(task, items, self._signature), range(len(items))
        except InferoxError as error:
            return error

    def _forget_closed_loops(self) -> None:
        for key in [key for key in self._pending if key[0].is_closed()]:
            del self._pending[key]


def _settle(future: asyncio.Future[tuple[Encoding, range]], found: _Found) -> None:
    """Gives a coroutine its rows or its error, unless it has gone."""
    if future.done():
        return
    if isinstance(found, InferoxError):
        future.set_exception(found)
    else:
        future.set_result(found)


@dataclass(frozen=True, eq=False)
class _Asked:
    items: Sequence[Any]
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
