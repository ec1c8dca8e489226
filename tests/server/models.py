"""A model whose batches can be held, as one that makes vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from inferox import TaskModel
from inferox.core import Batch, Outputs
from tests.engine.models import DoublingModel, SumTask, load_doubling

HERE = f"python:{__name__}:make_held"


class VectorTask(SumTask):
    """Texts to vectors of one number."""

    name = "embed"

    def decode(self, items: Sequence[Sequence[int] | str], batch: Batch, outputs: Outputs) -> Any:
        return np.array(super().decode(items, batch, outputs), dtype=np.float32)[:, None]


made: list[DoublingModel] = []
"""What was made, the last at the end."""


def make_held() -> TaskModel:
    """Makes a model, and remembers it."""
    made.append(DoublingModel())
    return load_doubling(made[-1], VectorTask())
