"""A loaded package: a model that also knows what its numbers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from inferox.core import MemoryRequirements, Model, ModelMetadata, RequestError, Signature, Tensor, TensorLike
from inferox.tasks import Task


class TaskModel(Model):
    """A model together with its task.

    Args:
        model: The loaded model; it is closed with this one.
        task: What the numbers mean.
        passed_over: For each artifact that was considered first, why it was not taken.
    """

    def __init__(self, model: Model, task: Task, *, passed_over: Mapping[str, str]) -> None:
        self._model = model
        self._task = task
        self._metadata = replace(model.metadata, passed_over=dict(passed_over))

    @property
    def name(self) -> str:
        """The name of the package."""
        return self._model.name

    @property
    def metadata(self) -> ModelMetadata:
        """Which backend, device and artifact run it, and why others were passed over."""
        return self._metadata

    @property
    def signature(self) -> Signature:
        """The named tensors that ``forward`` takes and gives."""
        return self._model.signature

    @property
    def task(self) -> Task:
        """What the numbers mean."""
        return self._task

    def memory_requirements(self) -> MemoryRequirements:
        """The memory that it needs."""
        return self._model.memory_requirements()

    def close(self) -> None:
        """Frees what the model holds. Closing twice does nothing."""
        self._model.close()

    def _compute(self, inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
        return self._model.forward(inputs)

    def run(self, items: Sequence[Any]) -> list[Any]:
        """Answers items of whichever kind the task takes, in their order.

        Args:
            items: Texts, pairs, images or named tensors; batches are formed from them.

        Returns:
            One result an item, of the task's own type.

        Raises:
            RequestError: If an item cannot be computed; the message names it.
        """
        return self._task.run(self._model, items)
