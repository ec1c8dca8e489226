"""The encoding of items as rows."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
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
    counted,
)
from inferox.engine.unexpected import to_failure
from inferox.tasks import RawTask, Task

_CALLS = "calls"
"""The only input of rows that are whole calls, which are never batched."""

_NUMBERS_PER_TOKEN = 768
"""The number of floating-point values that count as a token: a patch of 16 by 16 pixels in three colours."""

_DIGEST_BYTES = 16
"""The size of digests, large enough to rule out collisions between an owner's rows in practice."""

_MADE = np.empty(0)
"""The placeholder for an input that a batch does not have: the mask, which follows from its lengths."""


@dataclass(frozen=True, eq=False)
class Encoding:
    """Items with the rows that encode them.

    Attributes:
        task: The task that encoded them and decodes their answers.
        items: The items, one per row.
        batch: The rows.
        lengths: The number of tokens of each row; for rows without tokens, an equivalent number.
        groups: The rows that may share a batch, by what they have in common.
        made: The time span of the encoding.
        squares: For calls, the sum of the squared lengths of the rows in each; ``None`` if each item is one row.
    """

    task: Task
    items: Sequence[Any]
    batch: Batch
    lengths: Sequence[int]
    groups: Mapping[Hashable, Sequence[int]]
    made: Stopwatch
    squares: Sequence[int] | None = None

    @classmethod
    def of(cls, task: Task, items: Sequence[Any], signature: Signature) -> Encoding:
        """Encodes items as rows.

        Args:
            task: The task that encodes them.
            items: The items.
            signature: The model's signature.

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
        except (InferoxError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # such as a panic of Rust code
            raise to_failure("encoding the items", error) from error
        return cls(task, items, batch, lengths, groups, Stopwatch(began_s, time.monotonic()))

    @classmethod
    def of_calls(cls, task: RawTask, items: Sequence[Any]) -> Encoding:
        """Makes one row per call, each of which is computed by itself.

        Args:
            task: The task that computes them.
            items: The calls.

        Raises:
            RequestError: If a call does not fit the signature.
        """
        began_s = time.monotonic()
        calls = task.read_calls(items)
        batch = Batch.of_rows({_CALLS: np.empty(len(calls))})
        lengths = [max(1, *map(_count_tokens, call.values())) for call in calls]
        groups: dict[Hashable, Sequence[int]] = {_CALLS: range(len(calls))}
        squares = [length * length // task.count_batch(call) for call, length in zip(calls, lengths, strict=True)]
        return cls(task, calls, batch, lengths, groups, Stopwatch(began_s, time.monotonic()), squares)

    def group_rows(self, rows: Sequence[int]) -> dict[Hashable, list[int]]:
        """Groups some of the rows.

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
        """Returns the group of a row.

        Args:
            row: The row.
        """
        return next(iter(self.groups)) if len(self.groups) == 1 else self._groups_of_rows[row]

    def digest(self, rows: range, inputs: Sequence[str]) -> list[bytes] | None:
        """Computes a digest of each row: rows with the same digest have the same answer.

        Args:
            rows: The rows.
            inputs: The names of the model's inputs.

        Returns:
            The digests; ``None`` if the answer may depend on something else.
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
        raise ConfigError(
            f"the task {task.name} makes {counted(rows, 'row')} of {counted(items, 'item')}, not one row per item"
        )


def _digest(batch: Batch, row: int, inputs: Sequence[str], text: str = "") -> bytes:
    digest = blake2b(text.encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES)
    first, after = batch.cu_seqlens[row : row + 2].tolist()
    for name in inputs:
        array = batch.ragged[name][first:after] if name in batch.ragged else batch.dense.get(name, _MADE)[row : row + 1]
        if array.dtype.hasobject:
            array = array[0]
        digest.update(f"{len(text)} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.digest()


def _price_rows(batch: Batch, signature: Signature) -> list[int]:
    """Computes the number of tokens that each row without tokens counts as."""
    prices = np.ones(len(batch), dtype=np.int64)
    for array in (batch.dense[name] for name in signature.input_names if len(batch)):
        of_rows = list(map(_count_tokens, array)) if array.dtype == object else _count_tokens(array[0])
        prices = np.maximum(prices, of_rows)
    counted: list[int] = prices.tolist()
    return counted


def _count_tokens(array: npt.NDArray[Any]) -> int:
    """Counts the tokens that an array is equivalent to: each integer may be one."""
    return array.size if array.dtype.kind in "iub" else -(-array.size // _NUMBERS_PER_TOKEN)
