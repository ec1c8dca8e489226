"""Models with batches that can be held, and a task that makes vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from inferox import TaskModel
from inferox.core import BATCH, SEQUENCE, Batch, DataType, Outputs, Signature, TensorSpec
from tests.engine.models import SIGNATURE, DoublingModel, SumTask, load_doubling

HERE = f"python:{__name__}:make_held"
SUMS = f"python:{__name__}:make_sums"
PROMPTED = f"python:{__name__}:make_prompted"
RANKER = f"python:{__name__}:make_ranker"
WIDE = f"python:{__name__}:make_wide"

WIDTH = 100_000
"""The number of float64 values that the wide model returns for each character."""


class VectorTask(SumTask):
    """Turns each text into a vector of one number."""

    name = "embed"

    def decode(self, items: Sequence[Sequence[int] | str], batch: Batch, outputs: Outputs) -> Any:
        return np.array(super().decode(items, batch, outputs), dtype=np.float32)[:, None]


class PromptedTask(VectorTask):
    """The same, with a prompt for queries."""

    prompts: ClassVar[dict[str, str]] = {"query": "ask: ", "document": ""}

    def __init__(self, prompt: str = "") -> None:
        super().__init__()
        self._prompt = prompt

    def with_prompt(self, name: str) -> PromptedTask:
        return PromptedTask(self.prompts[name])

    def cutting(self, side: str) -> PromptedTask:  # noqa: ARG002 - none is too long
        return self

    def encode(self, items: Sequence[Any]) -> Batch:
        return super().encode([self._prompt + item for item in items])

    def decode(self, items: Sequence[Any], batch: Batch, outputs: Outputs) -> Any:
        return super().decode([self._prompt + item for item in items], batch, outputs)


class RankingTask(SumTask):
    """Pairs of texts to scores."""

    name = "rerank"

    def unscaled(self) -> RankingTask:
        return self

    def encode(self, items: Sequence[Any]) -> Batch:
        return super().encode(["".join(pair) for pair in items])

    def decode(self, items: Sequence[Any], batch: Batch, outputs: Outputs) -> Any:
        return super().decode(["".join(pair) for pair in items], batch, outputs)


class WideModel(DoublingModel):
    """Returns so much for each number that its outputs alone decide whether a row has room."""

    def __init__(self) -> None:
        super().__init__()
        outputs = (TensorSpec("doubled", DataType.I64, (BATCH, SEQUENCE, WIDTH)),)
        self.signature = self.layout_signature = Signature(SIGNATURE.inputs, outputs)

    def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        doubled = super()._compute(inputs)["doubled"]
        return {"doubled": np.repeat(doubled[..., None], WIDTH, axis=2)}


made: list[DoublingModel] = []
"""The models that were made, the last one at the end."""


def make_held() -> TaskModel:
    """Makes a model, and records it."""
    made.append(DoublingModel())
    return load_doubling(made[-1], VectorTask())


def make_sums() -> TaskModel:
    """Makes a model with a task that only the Open Inference Protocol supports."""
    return load_doubling()


def make_prompted() -> TaskModel:
    """Makes a model that has a prompt, and records it."""
    made.append(DoublingModel())
    return load_doubling(made[-1], PromptedTask())


def make_ranker() -> TaskModel:
    """Makes a model that scores pairs, and remembers it."""
    made.append(DoublingModel())
    return load_doubling(made[-1], RankingTask())


def make_wide() -> TaskModel:
    """Makes a model whose long rows never have room."""
    return load_doubling(WideModel(), VectorTask())
