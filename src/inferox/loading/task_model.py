"""A loaded package: a model that also knows what its numbers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from inferox.core import Closing, Model, ModelMetadata, RequestError, Signature, Tensor, TensorLike
from inferox.tasks import (
    ClassifyTask,
    EmbedTask,
    ImageClassifyTask,
    ImageFile,
    LabelScore,
    RankedDocument,
    RerankTask,
    Span,
    Task,
    TokenClassifyTask,
)
from inferox.tasks.task import as_list

TaskType = TypeVar("TaskType", bound=Task)


class TaskModel(Closing):
    """A loaded package: its model, and the task that says what the model's numbers mean.

    It has a method for each task; calling that of another task is a ``RequestError``. Batches are formed of rows alike
    in length, so that callers need not sort or split what they send. It is a context manager that closes itself.

    Args:
        model: The loaded model; it is closed with this.
        task: What the numbers mean.
        rejected: For each artifact that was considered first, why it was not taken.
        embedding_space: The id of the space in which its answers lie.
        parity_class: How well it agreed with the original when it was packed.
    """

    def __init__(
        self,
        model: Model,
        task: Task,
        *,
        rejected: Mapping[str, str],
        embedding_space: str | None = None,
        parity_class: str | None = None,
    ) -> None:
        self._metadata = replace(
            model.metadata, rejected=dict(rejected), embedding_space=embedding_space, parity_class=parity_class
        )
        self._model = model
        self._task = task

    @property
    def name(self) -> str:
        """The name of the package."""
        return self._model.name

    @property
    def metadata(self) -> ModelMetadata:
        """What the model is and how it came to be chosen."""
        return self._metadata

    @property
    def signature(self) -> Signature:
        """The named tensors that ``forward`` takes and gives."""
        return self._model.signature

    @property
    def model(self) -> Model:
        """The loaded artifact."""
        return self._model

    @property
    def task(self) -> Task:
        """What the numbers mean."""
        return self._task

    def forward(self, inputs: Mapping[str, TensorLike] | TensorLike) -> dict[str, Tensor]:
        """Computes padded tensors; see ``Model.forward``."""
        return self._model.forward(inputs)

    def close(self) -> None:
        """Frees what the model holds. Closing twice does nothing."""
        self._model.close()

    def embed(
        self, texts: Sequence[str], *, prompt: str | None = None, truncate: str = "warn"
    ) -> npt.NDArray[np.float32]:
        """Makes a vector of each text.

        Args:
            texts: The texts.
            prompt: The name of the prompt to put before each text; ``None`` for the model's default.
            truncate: What is done about texts that are longer than the model takes: ``error`` refuses them, ``warn``
                cuts them and gives an ``InferoxWarning``, ``cut`` cuts them.

        Returns:
            The vectors; shape ``[n, hidden]``, float32.

        Raises:
            RequestError: If the model's task is another, there is no such prompt, or a text cannot be computed.
        """
        task = self._task_of(EmbedTask)
        chosen = task if prompt is None else task.with_prompt(prompt)
        vectors: npt.NDArray[np.float32] = chosen.run(self._model, texts, truncate=truncate)
        return vectors

    def classify(
        self, texts: Sequence[str | tuple[str, str]], *, truncate: str = "warn"
    ) -> list[tuple[LabelScore, ...]]:
        """Labels texts, or pairs of texts.

        Args:
            texts: The texts or pairs.
            truncate: What is done about texts that are longer than the model takes: ``error`` refuses them, ``warn``
                cuts them and gives an ``InferoxWarning``, ``cut`` cuts them.

        Returns:
            For each text, every label with its score, the best first.

        Raises:
            RequestError: If the model's task is another, or a text cannot be computed.
        """
        labels: list[tuple[LabelScore, ...]] = self._task_of(ClassifyTask).run(self._model, texts, truncate=truncate)
        return labels

    def token_classify(self, texts: Sequence[str], *, truncate: str = "warn") -> list[tuple[Span, ...]]:
        """Labels the parts of texts.

        Args:
            texts: The texts.
            truncate: What is done about texts that are longer than the model takes: ``error`` refuses them, ``warn``
                cuts them and gives an ``InferoxWarning``, ``cut`` cuts them.

        Returns:
            For each text, the labelled parts with their characters' offsets.

        Raises:
            RequestError: If the model's task is another, or a text cannot be computed.
        """
        spans: list[tuple[Span, ...]] = self._task_of(TokenClassifyTask).run(self._model, texts, truncate=truncate)
        return spans

    def rerank(
        self, query: str, documents: Sequence[str], *, top_k: int | None = None, truncate: str = "warn"
    ) -> list[RankedDocument]:
        """Orders documents by how well they answer a query.

        Args:
            query: The query.
            documents: The documents.
            top_k: How many to return; ``None`` for all.
            truncate: What is done about texts that are longer than the model takes: ``error`` refuses them, ``warn``
                cuts them and gives an ``InferoxWarning``, ``cut`` cuts them.

        Returns:
            The documents' places in the list and scores, the best first.

        Raises:
            RequestError: If the model's task is another, or a text cannot be computed.
        """
        return self._task_of(RerankTask).rank(self._model, query, documents, top_k=top_k, truncate=truncate)

    def classify_images(self, images: Sequence[Any]) -> list[tuple[LabelScore, ...]]:
        """Labels images.

        Args:
            images: The bytes of files, Pillow images, arrays of shape ``[height, width, 3]``, uint8, or regular files
                by ``pathlib.Path``. A string is refused: a text that came over a network must not open a file.

        Returns:
            For each image, every label with its score, the best first.

        Raises:
            RequestError: If the model's task is another, or an image cannot be read.
        """
        task = self._task_of(ImageClassifyTask)
        items = as_list(images)
        if isinstance(items, list | tuple):
            items = [ImageFile.at(image) if isinstance(image, Path) else image for image in items]
        return task.run(self._model, items)

    def run(self, items: Sequence[Any], *, truncate: str = "warn") -> Any:
        """Answers items of whichever kind the task takes.

        Args:
            items: Texts, pairs, images, or named tensors.
            truncate: What is done about texts that are longer than the model takes: ``error`` refuses them, ``warn``
                cuts them and gives an ``InferoxWarning``, ``cut`` cuts them.

        Returns:
            One result per item, in their order: a list, or for ``embed`` an array of vectors.

        Raises:
            RequestError: If an item cannot be computed; the message names it.
        """
        return self._task.run(self._model, items, truncate=truncate)

    def _task_of(self, kind: type[TaskType]) -> TaskType:
        if not isinstance(self._task, kind):
            raise RequestError(
                f"{self.name!r} is packed for the task {self._task.name}, and {kind.name} was asked for",
                hint=f"load it with task={kind.name!r} if its outputs mean that",
            )
        return self._task
