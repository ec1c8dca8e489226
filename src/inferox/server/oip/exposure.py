"""The exposure of a model in the protocol: its tensors, and how they relate to items and answers of its task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import UnknownInputError, counted
from inferox.engine import Answer
from inferox.server.field_error import FieldError
from inferox.server.oip.datatype import Datatype
from inferox.server.oip.exposed_tensor import ANY, ExposedTensor
from inferox.server.oip.wire_tensor import WireTensor

MAX_BATCH = 2048
"""The most rows of a request, unless the model itself takes fewer."""


class Exposure(ABC):
    """The exposure of a model in the protocol.

    Args:
        inputs: The input tensors.
        outputs: The output tensors.
        max_batch: The most rows of a request; 0 if the first axis of the tensors is not a batch axis.

    Attributes:
        inputs: The input tensors.
        outputs: The output tensors.
        max_batch: The most rows of a request; see above.
    """

    def __init__(
        self, inputs: Sequence[ExposedTensor], outputs: Sequence[ExposedTensor], *, max_batch: int = MAX_BATCH
    ) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.max_batch = max_batch

    def read(self, tensors: Mapping[str, WireTensor]) -> Sequence[Any]:
        """Converts tensors to items.

        Args:
            tensors: The inputs of a request, by name.

        Returns:
            The items, one per row; a single one for a model that takes raw tensors.

        Raises:
            RequestError: If they are not the inputs of the model.
        """
        names = [tensor.name for tensor in self.inputs]
        missing = [item.name for item in self.inputs if not item.is_optional and item.name not in tensors]
        unexpected = [name for name in tensors if name not in names]
        if missing or unexpected:
            raise UnknownInputError(missing=missing, unexpected=unexpected, expected=names)
        arrays = {item.name: self._check(item, tensors[item.name]) for item in self.inputs if item.name in tensors}
        if self.max_batch:
            _check_rows(arrays, self.max_batch)
        return self._read(arrays)

    @abstractmethod
    def write(self, answer: Answer) -> list[WireTensor]:
        """Converts an answer to tensors, in the order of ``outputs``.

        Args:
            answer: The answer to the items from ``read``.
        """

    @abstractmethod
    def _read(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Sequence[Any]:
        """Converts arrays, which all have the same number of rows, to items."""

    def _check(self, expected: ExposedTensor, tensor: WireTensor) -> npt.NDArray[Any]:
        subject, array = f"input {expected.name!r}", tensor.array
        # BF16 converts to FP32 without loss.
        is_wider = (tensor.datatype, expected.datatype) == (Datatype.BF16, Datatype.FP32)
        if tensor.datatype is not expected.datatype and not is_wider:
            raise FieldError("inputs", f"{subject} must be {expected.datatype}, but is {tensor.datatype}")
        # Rows of one element may have an axis of extent 1, as Triton's configuration tells its clients.
        if len(expected.shape) == 1 and self.max_batch and array.ndim > 1 and array.shape[1:] == (1,):
            array = array.reshape(-1)
        fits = array.ndim == len(expected.shape) and all(
            wanted in {ANY, extent} for wanted, extent in zip(expected.shape, array.shape, strict=True)
        )
        if not fits:
            raise FieldError(
                "inputs", f"{subject} must have the shape {list(expected.shape)}, but has {list(tensor.array.shape)}"
            )
        return array


def _check_rows(arrays: Mapping[str, npt.NDArray[Any]], max_batch: int) -> None:
    rows = {name: len(array) for name, array in arrays.items()}
    if len(set(rows.values())) > 1:
        told = ", ".join(f"{name} has {count:,}" for name, count in rows.items())
        raise FieldError("inputs", f"all inputs must have the same number of rows, but {told}")
    count = next(iter(rows.values()), 0)
    if not 0 < count <= max_batch:
        raise FieldError("inputs", f"a request must have from 1 to {counted(max_batch, 'row')}, but has {count:,}")


def row_tensor(name: str, datatype: Datatype, *more: int, is_optional: bool = False) -> ExposedTensor:
    """Returns a tensor with one entry per row.

    Args:
        name: Its name.
        datatype: The type of its elements.
        more: The extents of the axes after that of the rows.
        is_optional: Whether a request may leave it out.
    """
    return ExposedTensor(name, datatype, (ANY, *more), is_optional)


def to_bytes_array(texts: Sequence[Sequence[str]] | Sequence[str]) -> npt.NDArray[np.object_]:
    """Encodes texts as the elements of a BYTES tensor.

    Args:
        texts: One text per row, or equally long lists of texts, one list per row.
    """
    given = np.array(texts, np.object_)
    encoded = np.array([str(text).encode() for text in given.flat], np.object_)
    return encoded.reshape(given.shape)
