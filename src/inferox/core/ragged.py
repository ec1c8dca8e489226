"""Rows of different lengths, stored end to end without padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core.errors import ShapeMismatchError


@dataclass(frozen=True)
class RaggedBatch:
    """A batch whose rows differ in length: the layout of Apache Arrow's lists.

    Row ``i`` is ``values[offsets[i]:offsets[i + 1]]``.

    Attributes:
        values: All rows end to end; shape ``[sum of lengths, ...]``, any data type.
        offsets: Where each row begins, and where the last one ends; shape ``[rows + 1]``, int64, rising from 0.

    Raises:
        ShapeMismatchError: If the offsets do not divide the values into rows.
    """

    values: npt.NDArray[Any]
    offsets: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.values.ndim < 1:
            raise ShapeMismatchError("the values of a ragged batch", "[total, ...]", self.values.shape)
        offsets = self.offsets
        divides = (
            offsets.dtype == np.int64
            and offsets.ndim == 1
            and len(offsets) >= 1
            and offsets[0] == 0
            and offsets[-1] == len(self.values)
            and bool((np.diff(offsets) >= 0).all())
        )
        if not divides:
            raise ShapeMismatchError(
                "the offsets of a ragged batch",
                f"[rows + 1] of int64, rising from 0 to {len(self.values)}",
                offsets.shape,
            )

    @classmethod
    def from_rows(cls, rows: Sequence[npt.NDArray[Any]]) -> RaggedBatch:
        """Lays rows end to end.

        Args:
            rows: At least one array; each of shape ``[length, ...]``, alike in data type and in all axes but the first.

        Raises:
            ShapeMismatchError: If there are no rows, or their other axes differ.
        """
        if not rows:
            raise ShapeMismatchError("a ragged batch", "[rows >= 1]", [0])
        first = rows[0]
        for index, row in enumerate(rows):
            if row.ndim != first.ndim or row.shape[1:] != first.shape[1:] or row.dtype != first.dtype:
                trailing = "".join(f", {extent}" for extent in first.shape[1:])
                raise ShapeMismatchError(f"row {index}", f"[length{trailing}] of {first.dtype}", row.shape)
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        return cls(np.concatenate(rows), offsets)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The length of each row; shape ``[rows]``, int64."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> npt.NDArray[Any]:
        """Views row ``index``; shape ``[length, ...]``. Negative indices count from the end.

        Raises:
            IndexError: If there is no such row.
        """
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"row {index} of a ragged batch of {len(self)} rows")
        return self.values[self.offsets[position] : self.offsets[position + 1]]

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        return (self[index] for index in range(len(self)))
