"""The task ``token-classify``: texts to labelled spans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from inferox.core import Batch, Outputs, Signature
from inferox.tasks.labels import Labels, Span
from inferox.tasks.signature import find_output
from inferox.tasks.text_task import TextTask
from inferox.tasks.texts import check_texts
from inferox.tasks.tokenizer import OFFSETS, SPECIAL_TOKENS

_OUTSIDE = "O"
"""The label of tokens that belong to no span."""


class TokenClassifyTask(TextTask):
    """Finds the labelled spans of a text.

    Each token gets its most probable label. Consecutive tokens with the same label form a span; ``B-`` begins a new
    one. Items are strings. Results are the spans from left to right; characters beyond the model's limit have none.

    Args:
        root: The folder of the package.
        options: ``labels``, as ``read_labels`` returns them, and the options of the tokenizer.
        signature: The model's signature.

    Raises:
        ManifestError: If an option is missing or wrong, or the model has no logits for the labels of each token.
        PackageError: If a file is missing or cannot be read.
    """

    name: ClassVar[str] = "token-classify"

    def __init__(self, root: Path, options: Mapping[str, Any], signature: Signature) -> None:
        super().__init__(root, options, signature)
        self._logits = find_output(signature, "logits", ndim=3, task=self.name, shape="[batch, seq, labels]")
        self._labels = Labels({**options, "activation": "softmax"}, self._logits)

    @property
    def labels(self) -> Sequence[str]:
        """The labels, in the order of the logits."""
        return self._labels.names

    def encode(self, items: Sequence[str]) -> Batch:
        """Encodes each text as a row with its tokens' offsets; see ``Task``. An empty text is allowed."""
        return self._tokenizer.encode(items, check=check_texts, offsets=True)

    def decode(self, items: Sequence[str], batch: Batch, outputs: Outputs) -> list[tuple[Span, ...]]:
        """Finds the spans of each text; see ``Task``."""
        probabilities = self._labels.score(outputs.of_tokens(self._logits.name))
        indices, scores = probabilities.argmax(axis=-1), probabilities.max(axis=-1)
        real, offsets = ~batch.ragged[SPECIAL_TOKENS], batch.ragged[OFFSETS]
        spans = []
        for text, (first, after) in zip(items, pairwise(outputs.cu_seqlens.tolist()), strict=True):
            own = np.flatnonzero(real[first:after]) + first
            labels = [self._labels.names[index] for index in indices[own].tolist()]
            spans.append(tuple(_find_spans(text, labels, scores[own], offsets[own])))
        return spans


def _find_spans(
    text: str, labels: Sequence[str], scores: npt.NDArray[np.float32], offsets: npt.NDArray[np.int64]
) -> Iterator[Span]:
    begins = [0, *(index + 1 for index, pair in enumerate(pairwise(labels)) if not _continues(*pair)), len(labels)]
    for first, after in pairwise(begins):
        if first == after or _name(labels[first]) == _OUTSIDE:
            continue
        start, end = int(offsets[first, 0]), int(offsets[after - 1, 1])
        yield Span(labels[first].split("-", 1)[-1], float(scores[first:after].mean()), start, end, text[start:end])


def _continues(before: str, label: str) -> bool:
    """Returns whether a token continues the span of the token before it."""
    return _name(before) == _name(label) and not label.startswith("B-")


def _name(label: str) -> str:
    return label[2:] if label.startswith(("B-", "I-")) else label
