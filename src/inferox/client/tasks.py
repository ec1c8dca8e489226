"""How the tasks of packages look to the protocol: their items as inputs, and their outputs as results."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import ResponseError
from inferox.tasks.labels import LabelScore, Span

Outputs = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class RemoteTask:
    """A task as a client sees it.

    Attributes:
        name: Its name.
        inputs: The inputs, each of which takes a part of an item.
        outputs: The outputs that are asked for.
        read: Makes a result for each row of the outputs.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    read: Callable[[Outputs], Sequence[Any] | npt.NDArray[np.float32]]


def _read_labels(outputs: Outputs) -> list[tuple[LabelScore, ...]]:
    rows = zip(outputs["label"], outputs["score"].tolist(), strict=True)
    return [tuple(LabelScore(label.decode(), score) for label, score in zip(*row, strict=True)) for row in rows]


def _read_spans(outputs: Outputs) -> list[list[Span]]:
    try:
        return [[Span(**span) for span in json.loads(row)] for row in outputs["spans"]]
    except (TypeError, ValueError) as error:
        raise ResponseError(f"the server's spans cannot be read: {error}") from error


VECTORS = "embedding"
"""The output that has vectors."""

EMBED = RemoteTask("embed", ("text",), (VECTORS,), lambda outputs: outputs[VECTORS])
CLASSIFY = RemoteTask("classify", ("text",), ("label", "score"), _read_labels)
CLASSIFY_PAIRS = RemoteTask("classify", ("text", "text_pair"), ("label", "score"), _read_labels)
CLASSIFY_TOKENS = RemoteTask("token-classify", ("text",), ("spans",), _read_spans)
CLASSIFY_IMAGES = RemoteTask("image-classify", ("image",), ("label", "score"), _read_labels)
RERANK = RemoteTask("rerank", ("query", "text"), ("score",), lambda outputs: outputs["score"].tolist())
