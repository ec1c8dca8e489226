"""The outputs of a batch, in whichever layout the model returned them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from inferox.core.batch import Array, Batch
from inferox.core.errors import ShapeMismatchError
from inferox.core.layout import ragged_dims, unpad
from inferox.core.shown_text import counted
from inferox.core.spec import TOKENS, Signature, TensorSpec
from inferox.core.tensor import Tensor


class Outputs:
    """The outputs of a batch: one entry per row, or per token of all rows end to end.

    They stay on the model's device until they are read.

    Args:
        tensors: The outputs by name, as the model returned them: padded, ``[rows, seq, ...]``, or packed,
            ``[tokens, ...]``. Rows that were added to pad the batch are dropped.
        signature: The signature of the model in its own layout.
        batch: The rows that were computed.

    Attributes:
        cu_seqlens: The offsets of the rows among the tokens; shape ``[rows + 1]``.

    Raises:
        ShapeMismatchError: If an output does not have one entry per row or token, or is shorter than a row.
    """

    def __init__(self, tensors: Mapping[str, Tensor | Array], signature: Signature, batch: Batch) -> None:
        self.cu_seqlens = batch.cu_seqlens
        self._batch = batch
        self._rows = len(self.cu_seqlens) - 1
        self._signature = signature
        self._specs = {spec.name: spec for spec in signature.outputs}
        self._tensors: dict[str, Tensor | Array] = dict(tensors)
        for spec in signature.outputs:
            self._check(spec, self._tensors[spec.name].shape)

    def __len__(self) -> int:
        """The number of rows."""
        return self._rows

    def of_tokens(self, name: str) -> Array:
        """Returns an output with one entry per token, without padding.

        Args:
            name: The output. Its padded shape is ``[batch, seq, ...]``.

        Returns:
            Shape ``[tokens, ...]``: all rows end to end, as ``cu_seqlens`` divides them.
        """
        array = self._array(name)
        return array if self._is_packed(name) else unpad(array, self._batch.lengths)

    def of_rows(self, name: str) -> Array:
        """Returns an output with one entry per row.

        Args:
            name: The output.

        Returns:
            Shape ``[rows, ...]``.
        """
        return self._array(name)

    def find_non_finite(self) -> dict[int, bool]:
        """Finds the rows with NaN or an infinity in an output that has been read, and whether NaN is among them.

        Outputs that are still on an accelerator are not fetched for this.
        """
        found: dict[int, bool] = {}
        for name, array in self._tensors.items():
            if not isinstance(array, np.ndarray) or array.dtype.kind in "biu" or _is_finite(self._array(name)):
                continue
            for row in range(len(self)):
                numbers = self._row(name, row)
                if not _is_finite(numbers):
                    found[row] = found.get(row, False) or bool(np.isnan(numbers).any())
        return found

    def __getitem__(self, index: int) -> dict[str, Array]:
        """Returns the outputs of row ``index`` by name: views without the batch dim, trimmed to the row's length.

        Negative indices count from the end.

        Raises:
            IndexError: If there is no such row.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of a batch of {counted(len(self), 'row')}")
        index %= len(self)
        return {name: self._row(name, index) for name in self._specs}

    def __iter__(self) -> Iterator[dict[str, Array]]:
        return (self[index] for index in range(len(self)))

    @cached_property
    def _ragged_dims(self) -> frozenset[str]:
        return ragged_dims(self._batch, self._signature)

    def _row(self, name: str, index: int) -> Array:
        array = self._array(name)
        if self._is_packed(name):
            return array[self.cu_seqlens[index] : self.cu_seqlens[index + 1]]
        length = int(self._batch.lengths[index])
        places = (slice(length if dim in self._ragged_dims else None) for dim in self._specs[name].dims[1:])
        return np.asarray(array[(index, *places)])

    def _array(self, name: str) -> Array:
        tensor = self._tensors[name]
        # Reading copies from an accelerator, and is done once.
        array = self._tensors[name] = tensor if isinstance(tensor, np.ndarray) else tensor.numpy()
        return array if self._is_packed(name) else array[: self._rows]

    def _is_packed(self, name: str) -> bool:
        return self._specs[name].dims[:1] == (TOKENS,)

    def _check(self, spec: TensorSpec, shape: Sequence[int]) -> None:
        if len(shape) != len(spec.dims):
            fits = False
        elif self._is_packed(spec.name):
            fits = shape[0] == self.cu_seqlens[-1]
        else:
            rows, longest = self._rows, self._batch.longest
            dims = zip(spec.dims[1:], shape[1:], strict=True)
            fits = len(shape) > 0 and (shape[0] >= rows if isinstance(spec.dims[0], int) else shape[0] == rows)
            fits = fits and all(extent >= longest for dim, extent in dims if dim in self._ragged_dims)
        if not fits:
            subject = f"output {spec.name!r} of a batch of {counted(self._rows, 'row')}"
            raise ShapeMismatchError(subject, spec.shape_text, shape)


def _is_finite(array: Array) -> bool:
    """Returns whether all numbers are finite. The minimum and maximum tell, without another array of that size."""
    with np.errstate(invalid="ignore"):
        return not array.size or bool(np.isfinite(array.min()) and np.isfinite(array.max()))
