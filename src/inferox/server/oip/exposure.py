"""How a model looks to the protocol: its tensors, what they mean to its task, and what its answers are as tensors."""

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
    """How a model looks to the protocol.

    Args:
        inputs: What it takes.
        outputs: What it gives.
        max_batch: The most rows of a request; 0 where the first axis of its tensors does not count rows.

    Attributes:
        inputs: What it takes.
        outputs: What it gives.
        max_batch: The most rows of a request.
    """

    def __init__(
        self, inputs: Sequence[ExposedTensor], outputs: Sequence[ExposedTensor], *, max_batch: int = MAX_BATCH
    ) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.max_batch = max_batch

    def read(self, tensors: Mapping[str, WireTensor]) -> Sequence[Any]:
        """Makes items of tensors.

        Args:
            tensors: The inputs of a request by name.

        Raises:
            RequestError: If they are not what the model takes.
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
        """Makes tensors of an answer, in the order of ``outputs``.

        Args:
            answer: The answer to what ``read`` gave.
        """

    @abstractmethod
    def _read(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Sequence[Any]:
        """Makes items of arrays, of which each has as many rows as the others."""

    def _check(self, expected: ExposedTensor, tensor: WireTensor) -> npt.NDArray[Any]:
        subject, array = f"input {expected.name!r}", tensor.array
        # Every BF16 is an FP32, so that nothing is lost.
        is_wider = (tensor.datatype, expected.datatype) == (Datatype.BF16, Datatype.FP32)
        if tensor.datatype is not expected.datatype and not is_wider:
            raise FieldError("inputs", f"{subject} must be {expected.datatype}, but is {tensor.datatype}")
        # Rows of one element may be given with an axis for that, as Triton's clients learn from its configuration.
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
        raise FieldError("inputs", f"all inputs must have as many rows, but {told}")
    count = next(iter(rows.values()), 0)
    if not 0 < count <= max_batch:
        raise FieldError("inputs", f"a request must have from 1 to {counted(max_batch, 'row')}, but has {count:,}")


def row_tensor(name: str, datatype: Datatype, *more: int, is_optional: bool = False) -> ExposedTensor:
    """A tensor with an entry for each row.

    Args:
        name: Its name.
        datatype: The type of its elements.
        more: The extents after that of the rows.
        is_optional: Whether a request may leave it out.
    """
    return ExposedTensor(name, datatype, (ANY, *more), is_optional)


def to_bytes_array(texts: Sequence[Sequence[str]] | Sequence[str]) -> npt.NDArray[np.object_]:
    """Texts as the elements of a tensor of BYTES.

    Args:
        texts: A text for each row, or as many for each.
    """
    given = np.array(texts, np.object_)
    encoded = np.array([str(text).encode() for text in given.flat], np.object_)
    return encoded.reshape(given.shape)
