"""Tasks of packages in the protocol: items as inputs, and outputs as results."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import Fields, ManifestError, ResponseError, counted, first_line
from inferox.tasks.labels import LabelScore, Span

Outputs = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class RemoteOutput:
    """An output that a server must send, with an entry for each row.

    Attributes:
        name: Its name.
        dtype: The dtype of its array: float32, or object for BYTES.
        axes: The number of axes.
    """

    name: str
    dtype: np.dtype[Any]
    axes: int

    def check(self, array: npt.NDArray[Any], start: int, rows: int) -> None:
        """Checks the array that a server sent.

        Args:
            array: The array.
            start: The index of its first row in the call.
            rows: The number of rows in the request.

        Raises:
            ResponseError: If the number of rows or axes or the dtype is wrong, or a number is not finite.
        """
        if array.dtype != self.dtype:
            raise ResponseError(f"the server's {self.name} must be of {self.dtype}, but is of {array.dtype}")
        if array.ndim != self.axes:
            raise ResponseError(
                f"the server's {self.name} must have {counted(self.axes, 'axis', 'axes')}, but has {array.ndim}"
            )
        if len(array) != rows:
            raise ResponseError(f"the server answered {counted(len(array), 'row')} to {rows}")
        if self.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
            row = start + int(np.argmin(finite.reshape(rows, -1).all(axis=1)))
            raise ResponseError(f"the server's {self.name} of item {row} has numbers that are not finite")


@dataclass(frozen=True)
class RemoteTask:
    """A task, from the client's point of view.

    Attributes:
        name: Its name.
        inputs: The inputs, one for each part of an item.
        outputs: The outputs to request.
        read: Converts outputs to a result for each row.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[RemoteOutput, ...]
    read: Callable[[Outputs], Sequence[Any] | npt.NDArray[np.float32]]

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of the outputs."""
        return tuple(output.name for output in self.outputs)

    def check(self, arrays: Outputs, start: int, rows: int) -> None:
        """Checks the arrays that a server sent; see ``RemoteOutput.check``.

        Args:
            arrays: The outputs, by name.
            start: The index of their first row in the call.
            rows: The number of rows in the request.

        Raises:
            ResponseError: If one is invalid, or their shapes differ.
        """
        for output in self.outputs:
            output.check(arrays[output.name], start, rows)
        shapes = [arrays[output.name].shape for output in self.outputs]
        if len(set(shapes)) > 1:
            told = " and ".join(f"{output.name} has {list(arrays[output.name].shape)}" for output in self.outputs)
            raise ResponseError(f"the server's outputs must have the same shape, but {told}")


def join_vectors(answers: Sequence[Outputs]) -> npt.NDArray[np.float32]:
    """Joins the vectors of several answers to one array.

    Args:
        answers: The outputs of each answer; at least one.

    Returns:
        The vectors; shape ``[n, dimension]``, float32.

    Raises:
        ResponseError: If the vectors of the answers differ in length.
    """
    arrays = [answer[VECTORS] for answer in answers]
    widths = sorted({array.shape[1] for array in arrays})
    if len(widths) > 1:
        raise ResponseError(
            f"the server's vectors must have one length, but have {widths[0]} and {counted(widths[-1], 'number')}"
        )
    return np.concatenate(arrays)


def _read_labels(outputs: Outputs) -> list[tuple[LabelScore, ...]]:
    try:
        names = [[label.decode() for label in row] for row in outputs["label"]]
    except UnicodeDecodeError as error:
        raise ResponseError(f"the server's labels cannot be read: {first_line(error)}") from error
    rows = zip(names, outputs["score"].tolist(), strict=True)
    return [tuple(LabelScore(*pair) for pair in zip(*row, strict=True)) for row in rows]


def _read_spans(outputs: Outputs) -> list[list[Span]]:
    try:
        return [[_read_span(span) for span in _as_list(json.loads(row))] for row in outputs["spans"]]
    except (ManifestError, ValueError, RecursionError) as error:
        raise ResponseError(f"the server's spans cannot be read: {first_line(error)}") from error


def _as_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list of spans, but got a value of the type {type(value).__name__}")  # noqa: TRY004 - foreign data
    return value


def _read_span(value: Any) -> Span:
    span = Fields(value, "a span")
    return Span(
        label=span.required("label", str),
        score=span.number("score"),
        start=span.count("start"),
        end=span.count("end"),
        text=span.required("text", str),
    )


VECTORS = "embedding"
"""The output with the vectors."""

_NUMBERS, _BYTES = np.dtype(np.float32), np.dtype(np.object_)
_LABELS = (RemoteOutput("label", _BYTES, 2), RemoteOutput("score", _NUMBERS, 2))

EMBED = RemoteTask("embed", ("text",), (RemoteOutput(VECTORS, _NUMBERS, 2),), lambda outputs: outputs[VECTORS])
CLASSIFY = RemoteTask("classify", ("text",), _LABELS, _read_labels)
CLASSIFY_PAIRS = RemoteTask("classify", ("text", "text_pair"), _LABELS, _read_labels)
CLASSIFY_TOKENS = RemoteTask("token-classify", ("text",), (RemoteOutput("spans", _BYTES, 1),), _read_spans)
CLASSIFY_IMAGES = RemoteTask("image-classify", ("image",), _LABELS, _read_labels)
RERANK = RemoteTask(
    "rerank", ("query", "text"), (RemoteOutput("score", _NUMBERS, 1),), lambda outputs: outputs["score"].tolist()
)
