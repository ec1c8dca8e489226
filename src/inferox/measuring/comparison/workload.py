"""The items that artifacts compute: the same for each of them, every time."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from itertools import cycle, islice, takewhile
from typing import Any

import numpy as np

from inferox.core import BATCH, Batch, ConfigError, Signature
from inferox.parity import Samples
from inferox.tasks import ImageClassifyTask, RawTask, RerankTask, Task

SHORTEST_WORDS, LONGEST_WORDS = 3, 250
"""The numbers of words of the shortest and the longest text."""

_MEDIAN_WORDS, _SIGMA = 14.0, 0.85
"""The median and sigma of a log-normal distribution of lengths, typical of short texts: 20 words on average, and one
text in twenty above 57."""

TYPICAL_WORDS = 16
"""The number of words of the text whose latency represents that of one row."""

_LENGTHS_WORDS = (1, 4, TYPICAL_WORDS, 32, 64, 128, LONGEST_WORDS)

_WORDS = (
    "the", "of", "and", "a", "to", "in", "is", "was", "for", "that", "river", "model", "market", "city", "answer",
    "question", "school", "garden", "winter", "doctor", "music", "account", "password", "system", "history", "letter",
    "open", "close", "write", "read", "move", "find", "build", "small", "large", "green", "early", "quiet", "new",
    "however,", "why?", "2026", "3.14", "running", "translation", "unbelievable", "temperature", "Zürich", "café",
)  # fmt: skip

_IMAGE_SHAPE = (480, 640)
_IMAGE_SHAPES = ((224, 224), (480, 640), (300, 200), (600, 800))


def mixed_texts(count: int) -> list[str]:
    """Makes texts of 3 to 250 words, 20 on average, in random order of length.

    Args:
        count: The number of texts. The first ones are the same for any number.
    """
    draw = random.Random(0)  # noqa: S311 - varied, not secret
    lengths = (round(draw.lognormvariate(math.log(_MEDIAN_WORDS), _SIGMA)) for _ in range(count))
    return [_text(draw, min(max(length, SHORTEST_WORDS), LONGEST_WORDS)) for length in lengths]


class Workload:
    """Items of the kind that a task takes.

    Args:
        task: The task.
        signature: The model's signature, as the package states it.
        samples: The package's sample calls, for a model of unknown meaning; ``None`` if it has none.
    """

    def __init__(self, task: Task, signature: Signature, samples: Samples | None) -> None:
        self._task = task
        self._signature = signature
        self._samples = samples

    def first(self) -> Any:
        """Returns the item of one row of ordinary length."""
        return self._one(TYPICAL_WORDS)

    def singles(self) -> list[Any]:
        """Returns items of one row each, in ascending length, if the task's rows have lengths; otherwise one item."""
        if isinstance(self._task, ImageClassifyTask | RawTask):
            return [self.first()]
        items = [self._one(words) for words in _LENGTHS_WORDS]
        lengths = [self.length(item) or 0 for item in items]
        # Texts longer than the model takes are cut, and so have the same length.
        rising = takewhile(lambda pair: pair[0] < pair[1], zip([-1, *lengths], lengths, strict=False))
        return items[: len(list(rising))]

    def typical(self, singles: Sequence[Any]) -> int:
        """Returns the index of the single-row item of ordinary length."""
        return min(len(singles) - 1, _LENGTHS_WORDS.index(TYPICAL_WORDS))

    def mixed(self, count: int) -> list[Any]:
        """Makes items of mixed lengths.

        Args:
            count: The number of items.
        """
        if isinstance(self._task, RawTask):
            return list(islice(cycle(self._calls()), count))
        if isinstance(self._task, ImageClassifyTask):
            return [_image(shape, seed) for seed, shape in enumerate(islice(cycle(_IMAGE_SHAPES), count))]
        texts = mixed_texts(count)
        return [_pair(text) for text in texts] if isinstance(self._task, RerankTask) else texts

    def rows(self, items: Sequence[Any]) -> Batch | None:
        """Encodes items as rows; ``None`` if a model's calls have no rows."""
        try:
            return self._task.encode(items)
        except ConfigError:
            if not isinstance(self._task, RawTask):
                raise
            return None

    def length(self, item: Any) -> int | None:
        """Counts the tokens of an item of one row; ``None`` if rows have none."""
        return self.tokens(self.rows([item]))

    def tokens(self, rows: Batch | None) -> int | None:
        """Counts the tokens of rows; ``None`` if rows have none."""
        return rows.token_count if rows is not None and rows.ragged else None

    def _one(self, words: int) -> Any:
        if isinstance(self._task, RawTask):
            return self._one_row_call()
        if isinstance(self._task, ImageClassifyTask):
            return _image(_IMAGE_SHAPE, 0)
        text = _text(random.Random(words), words)  # noqa: S311 - varied, not secret
        return _pair(text) if isinstance(self._task, RerankTask) else text

    def _calls(self) -> list[Mapping[str, Any]]:
        if self._samples is not None and self._samples.batches:
            return [batch.inputs for batch in self._samples.batches]
        return [call for batch in self._task.samples() for call in batch]

    def _one_row_call(self) -> Mapping[str, Any]:
        call = self._calls()[0]
        in_rows = all(spec.dims[:1] == (BATCH,) for spec in self._signature.inputs)
        return {name: array[:1] for name, array in call.items()} if in_rows else call


def _text(draw: random.Random, words: int) -> str:
    return " ".join(draw.choices(_WORDS, k=words))


def _pair(text: str) -> tuple[str, str]:
    return "how do I open a new account?", text


def _image(shape: tuple[int, int], seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)
