"""A batch: rows of different lengths laid end to end, the form in which data travels from a task to a runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core.errors import ShapeMismatchError
from inferox.core.shown_text import counted
from inferox.core.spec import Signature

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows of named inputs: ragged ones, with one entry per token, and dense ones, with one entry per row.

    Row ``i`` has the tokens from ``cu_seqlens[i]`` up to ``cu_seqlens[i + 1]``, as in flash attention. All of them are
    attended: the attention mask of a padded layout follows from the lengths. Besides a model's inputs, a batch carries
    what a task needs to read the outputs, such as offsets.

    Attributes:
        ragged: Inputs with one entry per token; shape ``[tokens, ...]``, all rows end to end.
        dense: Inputs with one entry per row; shape ``[rows, ...]``. If rows differ in shape, as images may, an object
            array of shape ``[rows]`` that holds one array per row.
        cu_seqlens: The start of each row and the end of the last one; shape ``[rows + 1]``, int64, ascending from 0. In
            a batch without ragged inputs, each row counts as one token.
        pad_values: The number that pads each ragged input in a padded layout. If an input of the model is not listed,
            rows of different lengths cannot share a padded batch.
        checked_for: The signature that the batch is known to fit; see ``check_batch``.

    Raises:
        ShapeMismatchError: If an input does not have one entry per token, or per row.
    """

    ragged: Mapping[str, Array]
    dense: Mapping[str, Array]
    cu_seqlens: npt.NDArray[np.int64]
    pad_values: Mapping[str, int] = field(default_factory=dict)
    checked_for: Signature | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        counts = self.cu_seqlens
        rises = counts.ndim == 1 and len(counts) >= 1 and counts[0] == 0 and bool((counts[1:] >= counts[:-1]).all())
        if counts.dtype != np.int64 or not rises:
            raise ShapeMismatchError("cu_seqlens of a batch", "[rows + 1] of int64, rising from 0", counts.shape)
        for inputs, dim, count in ((self.ragged, "tokens", self.token_count), (self.dense, "rows", self.row_count)):
            for name, array in inputs.items():
                if array.ndim < 1 or len(array) != count:
                    raise ShapeMismatchError(
                        f"input {name!r} of a batch of {count} {dim}", f"[{dim}, ...]", array.shape
                    )

    @classmethod
    def of_rows(cls, dense: Mapping[str, Array]) -> Batch:
        """Makes a batch of rows without tokens.

        Args:
            dense: At least one input by name; shape ``[rows, ...]``.
        """
        rows = len(next(iter(dense.values())))
        return cls({}, dense, np.arange(rows + 1, dtype=np.int64))

    @classmethod
    def concatenate(cls, batches: Sequence[Batch]) -> Batch:
        """Concatenates the rows of several batches.

        Args:
            batches: At least one; all must have the same inputs and pad values.
        """
        first = batches[0]
        if len(batches) == 1:
            return first
        lengths = np.concatenate([batch.lengths for batch in batches])
        joined = cls(
            {name: np.concatenate([batch.ragged[name] for batch in batches]) for name in first.ragged},
            {name: join_rows([batch.dense[name] for batch in batches]) for name in first.dense},
            to_cu_seqlens(lengths),
            first.pad_values,
        )
        if all(batch.checked_for is first.checked_for for batch in batches):
            joined.note_check(first.checked_for)
        return joined

    def __len__(self) -> int:
        """The number of rows."""
        return self.row_count

    @cached_property
    def row_count(self) -> int:
        """The number of rows, cached for frequent use."""
        return len(self.cu_seqlens) - 1

    @cached_property
    def token_count(self) -> int:
        """The number of tokens of all rows."""
        return int(self.cu_seqlens[-1])

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of tokens of each row; shape ``[rows]``, int64."""
        lengths: npt.NDArray[np.int64] = self.cu_seqlens[1:] - self.cu_seqlens[:-1]
        return lengths

    @cached_property
    def longest(self) -> int:
        """The most tokens of a row; 0 if there are no rows."""
        return int(self.lengths.max(initial=0))

    def __getitem__(self, index: int) -> dict[str, Array]:
        """Row ``index`` by name: views of shape ``[length, ...]`` of ragged inputs, and the entries of dense ones.

        Negative indices count from the end.

        Raises:
            IndexError: If there is no such row.
        """
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"row {index} of a batch of {counted(len(self), 'row')}")
        tokens = slice(self.cu_seqlens[position], self.cu_seqlens[position + 1])
        ragged = {name: array[tokens] for name, array in self.ragged.items()}
        return {**ragged, **{name: np.asarray(array[position]) for name, array in self.dense.items()}}

    def __iter__(self) -> Iterator[dict[str, Array]]:
        return (self[index] for index in range(len(self)))

    def select(self, indices: Sequence[int] | npt.NDArray[np.int64]) -> Batch:
        """Selects rows into a new batch.

        Args:
            indices: The rows in the desired order, from 0 up; a row may be repeated.

        Raises:
            IndexError: If there is no such row.
        """
        if isinstance(indices, list) and indices == list(range(len(self))):
            return self
        rows = np.asarray(indices, dtype=np.int64)
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of a batch of {counted(len(self), 'row')}")
        if len(rows) == len(self) and bool((rows == np.arange(len(self))).all()):
            return self
        lengths = self.lengths[rows]
        ends = to_cu_seqlens(lengths)
        tokens = np.repeat(self.cu_seqlens[rows] - ends[:-1], lengths) + np.arange(ends[-1])
        selected = Batch(
            {name: array[tokens] for name, array in self.ragged.items()},
            {name: array[rows] for name, array in self.dense.items()},
            ends,
            self.pad_values,
        )
        selected.note_check(self.checked_for)
        return selected

    def note_check(self, signature: Signature | None) -> None:
        """Records that the batch fits a signature, so that it need not be checked again.

        Args:
            signature: The signature; ``None`` if it is not known to fit one.
        """
        object.__setattr__(self, "checked_for", signature)


def to_cu_seqlens(lengths: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
    """Computes the offsets of rows that lie end to end, from their lengths.

    Args:
        lengths: The length of each row; shape ``[rows]``.

    Returns:
        The start of each row, then the end of the last one; shape ``[rows + 1]``, int64.
    """
    ends = np.zeros(len(lengths) + 1, dtype=np.int64)
    lengths.cumsum(out=ends[1:])
    return ends


def join_rows(arrays: Sequence[Array]) -> Array:
    """Joins the rows of several arrays into one dense input of a batch.

    Args:
        arrays: At least one array; shape ``[rows, ...]``, all of one data type.

    Returns:
        Shape ``[all rows, ...]``; if rows differ in shape, an object array of shape ``[all rows]``.
    """
    if len({(array.dtype, array.shape[1:]) for array in arrays}) == 1:
        return np.concatenate(arrays)
    return stack_rows([row for array in arrays for row in array])


def stack_rows(rows: Sequence[Array]) -> Array:
    """Stacks one array per row into a dense input of a batch.

    Args:
        rows: At least one array; all of one data type.

    Returns:
        Shape ``[rows, ...]``; if rows differ in shape, an object array of shape ``[rows]``.
    """
    if len({row.shape for row in rows}) == 1:
        return np.stack(rows)
    different = np.empty(len(rows), dtype=object)
    for index, row in enumerate(rows):  # NumPy would try to make one array of a list of arrays
        different[index] = row
    return different
